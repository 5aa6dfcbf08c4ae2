// Package sdbm reads files of the SDBM format (Ozan Yigit's, as APR and
// httxt2dbm write it): a hash table of pages of 1 KiB in FILE.pag with a bitmap
// of split pages in FILE.dir. It only reads, and opens the files for each
// lookup, so that a file that was replaced is seen at once.
package sdbm

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
)

// The suffixes of the two files.
const (
	PageSuffix      = ".pag"
	DirectorySuffix = ".dir"
)

const (
	pageSize = 1024
	byteBits = 8
)

// ErrCorrupt is returned for a page that cannot be one.
var ErrCorrupt = errors.New("not an SDBM page")

// FormatError says that a database cannot be read because it is of another
// format than SDBM. Its text says which; the program that made it can make an
// SDBM one.
type FormatError string

func (e FormatError) Error() string { return string(e) }

// formats are the beginnings of files of other DBM libraries.
var formats = []struct {
	at          int64
	magic, name string
}{
	{12, "\x61\x15\x06\x00", "Berkeley DB"}, {12, "\x00\x06\x15\x61", "Berkeley DB"}, {12, "\x62\x31\x05\x00", "Berkeley DB"},
	{0, "\xce\x9a\x57\x13", "GDBM"}, {0, "\xcf\x9a\x57\x13", "GDBM"}, {0, "\xcd\x9a\x57\x13", "GDBM"},
}

// CheckType tells whether databases of a type, as Apache's directives name it
// ("" and "default" are SDBM here), can be read: nil, a FormatError, or another
// error for a word that is none.
func CheckType(kind string) error {
	switch kind {
	case "", "default", "sdbm":
		return nil
	case "gdbm", "ndbm", "db", "lmdb":
		return FormatError("DBM files of type " + kind + " cannot be read, only SDBM ones")
	}
	return fmt.Errorf("unknown type of DBM file %q; sdbm can be read", kind)
}

// Check tells whether a database with this name is there and can be read: nil,
// an error of package os where there is none, or a FormatError.
func Check(name string) error {
	_, err := os.Stat(name + PageSuffix)
	if err == nil {
		return nil
	}
	f, err2 := os.Open(name)
	if err2 != nil {
		return err
	}
	defer f.Close()
	for _, m := range formats {
		b := make([]byte, len(m.magic))
		if _, err := f.ReadAt(b, m.at); err == nil && string(b) == m.magic {
			return FormatError(name + " is a " + m.name + " file; only SDBM files can be read")
		}
	}
	return FormatError(name + " is not an SDBM file, which would have the suffixes .pag and .dir")
}

// Lookup finds the value of a key in the database with this name (without
// suffixes).
func Lookup(name, key string) (value string, ok bool, err error) {
	pag, err := os.Open(name + PageSuffix)
	if err != nil {
		return "", false, err
	}
	defer pag.Close()
	dir, err := os.Open(name + DirectorySuffix)
	if err != nil {
		return "", false, err
	}
	defer dir.Close()
	info, err := dir.Stat()
	if err != nil {
		return "", false, err
	}
	page, err := find(dir, info.Size()*byteBits, hash(key))
	if err != nil {
		return "", false, fmt.Errorf("%s: %w", name+DirectorySuffix, err)
	}
	buf := make([]byte, pageSize)
	switch n, err := pag.ReadAt(buf, page*pageSize); {
	case errors.Is(err, io.EOF) && n == 0:
		return "", false, nil // a hole
	case err != nil && !errors.Is(err, io.EOF):
		return "", false, err
	}
	value, ok, err = search(buf, key)
	if err != nil {
		err = fmt.Errorf("%s: %w", name+PageSuffix, err)
	}
	return value, ok, err
}

// hash is SDBM's: n = n*65599 + c with 32 bits.
func hash(key string) uint32 {
	var n uint32
	for i := 0; i < len(key); i++ {
		n = n*65599 + uint32(key[i])
	}
	return n
}

// find walks the tree of splits: a set bit says that the page was split, the
// next bit of the hash then chooses the side.
func find(dir io.ReaderAt, bits int64, h uint32) (int64, error) {
	var at int64
	depth := 0
	for at < bits && depth < 32 {
		var b [1]byte
		if _, err := dir.ReadAt(b[:], at/byteBits); err != nil {
			return 0, err
		}
		if b[0]&(1<<(at%byteBits)) == 0 {
			break
		}
		side := int64(h >> depth & 1)
		at = 2*at + 1 + side
		depth++
	}
	return int64(h & (1<<depth - 1)), nil
}

// search looks a key up in a page: a table of 16-bit offsets at the start,
// keys and values from the end.
func search(page []byte, key string) (string, bool, error) {
	at := func(i int) int { return int(int16(binary.NativeEndian.Uint16(page[2*i:]))) }
	n := at(0)
	if n < 0 || n%2 != 0 || n >= pageSize/2 {
		return "", false, ErrCorrupt
	}
	end := pageSize
	for i := 1; i < n; i += 2 {
		k, v := at(i), at(i+1)
		if v < 0 || v > k || k > end {
			return "", false, ErrCorrupt
		}
		if string(page[k:end]) == key {
			return string(page[v:k]), true, nil
		}
		end = v
	}
	return "", false, nil
}
