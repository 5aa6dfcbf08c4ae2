// This file finds and reads the files that Include and IncludeOptional name:
// single files, directories with all below them, and wildcards.

package conf

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
)

// Limits of Include. The first two are Apache's; the others keep a mistake from
// reading a whole disk.
const (
	maxIncludeDepth = 50
	maxDirDepth     = 20
	maxFiles        = 10000
	maxFileSize     = 64 << 20
)

// filesystem is what reading needs of the system; tests bring their own.
type filesystem interface {
	open(name string) (fs.File, error)
	stat(name string) (fs.FileInfo, error)
	list(name string) ([]string, error) // names in a directory, any order
}

type realFiles struct{}

func (realFiles) open(name string) (fs.File, error) {
	// A pipe without a writer would block the open itself.
	return os.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0)
}

func (realFiles) stat(name string) (fs.FileInfo, error) { return os.Stat(name) }

func (realFiles) list(name string) ([]string, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return f.Readdirnames(-1)
}

// reason says why a file operation failed, without the file name.
func reason(err error) string {
	var pathError *fs.PathError
	if errors.As(err, &pathError) {
		err = pathError.Err
	}
	return err.Error()
}

// resolve makes a path absolute relative to the ServerRoot.
func (p *parser) resolve(name string) string {
	if filepath.IsAbs(name) || p.serverRoot == "" {
		return filepath.Clean(name)
	}
	return filepath.Join(p.serverRoot, name)
}

// readFile reads a regular file whole. The null device counts as empty.
func (p *parser) readFile(name string) (string, error) {
	if name == os.DevNull {
		return "", nil
	}
	f, err := p.fs.open(name)
	if err != nil {
		return "", err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return "", err
	}
	if info.IsDir() {
		return "", errors.New("is a directory")
	}
	if !info.Mode().IsRegular() {
		return "", errors.New("not a regular file")
	}
	data, err := io.ReadAll(io.LimitReader(f, maxFileSize+1))
	if err != nil {
		return "", err
	}
	if len(data) > maxFileSize {
		return "", fmt.Errorf("larger than %d MiB", maxFileSize>>20)
	}
	return string(data), nil
}

// include carries out Include and IncludeOptional.
func (p *parser) include(pos Pos, name string, args []string) {
	if p.notHere(pos, name) || p.stopFiles {
		return
	}
	if len(args) != 1 || args[0] == "" {
		p.fail(CodeArguments, pos, name, "takes one path, has "+count(args), "one "+name+" line for each path; quote a path with blanks")
		return
	}
	optional := strings.EqualFold(name, "IncludeOptional")
	full := p.resolve(args[0])
	relative := ""
	if !filepath.IsAbs(args[0]) && p.serverRoot != "" {
		relative = "relative paths start at ServerRoot " + p.serverRoot
	}
	if hasWildcard(args[0]) {
		found := p.glob(pos, name, args[0])
		if len(found) == 0 && !optional {
			p.fail(CodeInclude, pos, name, "no file matches "+clip(full), "IncludeOptional accepts that")
		}
		for _, match := range found {
			p.includePath(pos, name, match, 0)
		}
		return
	}
	if _, err := p.fs.stat(full); err != nil {
		switch {
		case !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, syscall.ENOTDIR):
			p.fail(CodeFile, pos, name, fmt.Sprintf("cannot read %s: %s", clip(full), reason(err)), "")
		case !optional:
			p.fail(CodeInclude, pos, name, "no such file or directory: "+clip(full), relative)
		}
		return
	}
	p.includePath(pos, name, full, 0)
}

// includePath reads a file, or all files of a directory and those below.
func (p *parser) includePath(pos Pos, name, full string, dirDepth int) {
	if p.stopFiles {
		return
	}
	info, err := p.fs.stat(full)
	if err == nil && info.IsDir() {
		if dirDepth == maxDirDepth {
			p.fail(CodeIncludeLimit, pos, name, fmt.Sprintf("directories are nested more than %d deep at %s", maxDirDepth, clip(full)), "a symbolic link may point to a directory above")
			p.stopFiles = true
			return
		}
		for _, entry := range p.sorted(pos, name, full) {
			p.includePath(pos, name, filepath.Join(full, entry), dirDepth+1)
		}
		return
	}
	if p.tooMany(pos, name, full) {
		return
	}
	text, err := p.readFile(full)
	if err != nil {
		p.fail(CodeFile, pos, name, fmt.Sprintf("cannot read %s: %s", clip(full), reason(err)), "")
		return
	}
	p.file(full, text)
}

// tooMany checks the limits and, once one is hit, ends all including: a file
// that includes itself twice would otherwise go on for ever.
func (p *parser) tooMany(pos Pos, name, full string) bool {
	p.fileCount++
	switch {
	case len(p.open) > maxIncludeDepth:
		why := ""
		if slices.Contains(p.open, full) {
			why = clip(full) + " includes itself"
		}
		p.fail(CodeIncludeLimit, pos, name, fmt.Sprintf("files are included more than %d deep", maxIncludeDepth), why)
	case p.fileCount > maxFiles:
		p.fail(CodeIncludeLimit, pos, name, fmt.Sprintf("more than %d files are included", maxFiles), "")
	default:
		return false
	}
	p.stopFiles = true
	return true
}

// sorted lists a directory in byte order, whatever the system's order is.
func (p *parser) sorted(pos Pos, name, dir string) []string {
	names, err := p.fs.list(dir)
	if err != nil {
		p.fail(CodeFile, pos, name, fmt.Sprintf("cannot read directory %s: %s", clip(dir), reason(err)), "")
		return nil
	}
	slices.Sort(names)
	return names
}

// hasWildcard: a '[' counts if a ']' follows, as in Apache.
func hasWildcard(s string) bool {
	bracket := strings.IndexByte(s, '[')
	return strings.ContainsAny(s, "*?") || (bracket >= 0 && strings.IndexByte(s[bracket:], ']') >= 0)
}

// glob expands wildcards, in any part of the path, to existing names in
// alphabetical order. A wildcard matches no leading dot. Only the pattern as
// written counts: a ServerRoot with a '[' in its name is no wildcard.
func (p *parser) glob(pos Pos, name, pattern string) []string {
	parts := strings.Split(path.Clean(filepath.ToSlash(pattern)), "/")
	found := []string{p.serverRoot}
	if parts[0] == "" {
		parts, found = parts[1:], []string{"/"}
	}
	for i, part := range parts {
		last := i == len(parts)-1
		var next []string
		for _, dir := range found {
			if !hasWildcard(part) {
				full := filepath.Join(dir, part)
				if info, err := p.fs.stat(full); err == nil && (last || info.IsDir()) {
					next = append(next, full)
				}
				continue
			}
			list := dir
			if list == "" {
				list = "."
			}
			for _, entry := range p.sorted(pos, name, list) {
				ok, err := path.Match(strings.ReplaceAll(part, "[!", "[^"), entry)
				if err != nil {
					p.fail(CodeInclude, pos, name, "not a valid wildcard: "+clip(part), "use * ? and [a-z]")
					return nil
				}
				if !ok || (entry[0] == '.' && part[0] != '.') {
					continue
				}
				full := filepath.Join(dir, entry)
				if info, err := p.fs.stat(full); last || (err == nil && info.IsDir()) {
					next = append(next, full)
				}
			}
		}
		found = next
	}
	return found
}
