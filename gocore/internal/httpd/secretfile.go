// Files that a module needs and whose content is a secret, private keys for the
// most part: the supervisor reads them, and only processes that accept
// connections are given what is in them. A directive notes the name.
package httpd

import "modwsgi/gocore/internal/conf"

// SecretFile is one such file or directory (all its regular files, one after
// the other). Content is nil until GiveSecrets.
type SecretFile struct {
	Name, Directive string
	Pos             conf.Pos
	Check           func(content []byte) error // what is wrong with the content, for the supervisor
	content         []byte
}

// Content is what is in the file.
func (f *SecretFile) Content() []byte { return f.content }

// Secret notes that the configuration needs the file. Not for .htaccess files.
func (k *Cmd) Secret(name string, check func(content []byte) error) *SecretFile {
	f := &SecretFile{Name: name, Directive: k.Name, Pos: k.Pos, Check: check}
	k.b.s.SecretFiles = append(k.b.s.SecretFiles, f)
	return f
}

// GiveSecrets hands over what the supervisor read, by name; before the first request.
func (s *Server) GiveSecrets(files map[string][]byte) {
	for _, f := range s.SecretFiles {
		f.content = files[f.Name]
	}
}
