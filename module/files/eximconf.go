package files

import (
	_ "embed"
	"text/template"
)

//go:embed exim.conf.tmpl
var eximConfText string

// Exim's own syntax is full of {{ and }}.
var eximConf = template.Must(template.New("exim.conf").Delims("[[", "]]").Parse(eximConfText))

// EximConf is Exim's main configuration file for l.
func EximConf(l Layout) []byte {
	return signed(eximConf, struct{ Conf, Program string }{"/" + l.Exim, l.EximProgram})
}
