package files

import (
	_ "embed"
	"path"
	"text/template"
)

//go:embed dovecot.conf.tmpl
var dovecotConfText string

var dovecotConf = template.Must(template.New("dovecot.conf").Delims("[[", "]]").Parse(dovecotConfText))

// DovecotConf is Dovecot's main configuration file for l, whole: of what the
// distribution's own one includes, nothing is read.
func DovecotConf(l Layout) []byte {
	return signed(dovecotConf, struct{ Dir, EximUser, MailUser string }{"/" + l.Dovecot, l.EximUser, l.MailUser})
}

// DovecotConf is the place of Dovecot's main configuration file.
func (l Layout) DovecotConf() string { return path.Join(l.Dovecot, "dovecot.conf") }

// DovecotHooks is the directory of the administrator's own additions to
// Dovecot's configuration. The module creates it and never writes in it.
func (l Layout) DovecotHooks() string { return path.Join(l.Dovecot, "maildomain.d") }
