// This file writes and reads a tree in the form in which the supervisor hands
// it to worker processes.

package conf

import (
	"encoding/gob"
	"fmt"
	"io"
)

// Encode writes the tree to w with encoding/gob. The tree is only read.
func Encode(w io.Writer, t *Tree) error {
	if err := gob.NewEncoder(w).Encode(t); err != nil {
		return fmt.Errorf("encoding the configuration: %w", err)
	}
	return nil
}

// Decode reads a tree that Encode wrote. An empty list comes back as nil, which
// means the same to every reader of a tree. Like every gob decoder it is for
// data from a process that is trusted.
func Decode(r io.Reader) (*Tree, error) {
	t := new(Tree)
	if err := gob.NewDecoder(r).Decode(t); err != nil {
		return nil, fmt.Errorf("decoding the configuration: %w", err)
	}
	return t, nil
}
