package files

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"regexp"
	"text/template"
)

// signed fills in a main configuration file. Its first line carries the SHA-256 of
// everything below it, by which CheckConf knows it again.
func signed(t *template.Template, values any) []byte {
	var rest bytes.Buffer
	if err := t.Execute(&rest, values); err != nil {
		panic(err) // the template is ours and constant
	}
	return append(fmt.Appendf(nil, "# maildomain 1 sha256=%s: written by \"maildomain setup\"\n", sum(rest.Bytes())), rest.Bytes()...)
}

// A ConfState says what stands in the place of a main configuration file.
type ConfState string

// What can stand there.
const (
	ConfNone    ConfState = "none"    // no file
	ConfOwn     ConfState = "own"     // what some version of setup wrote, and nobody changed since
	ConfEdited  ConfState = "edited"  // what setup wrote, changed by somebody
	ConfForeign ConfState = "foreign" // anything else
)

var ownFirstLine = regexp.MustCompile(`^# maildomain [0-9]+ sha256=([0-9a-f]{64}): [^\n]*\n`)

// CheckConf says what conf, the content of a main configuration file, is; nil is
// no file.
func CheckConf(conf []byte) ConfState {
	if conf == nil {
		return ConfNone
	}
	m := ownFirstLine.FindSubmatch(conf)
	switch {
	case m == nil:
		return ConfForeign
	case string(m[1]) != sum(conf[len(m[0]):]):
		return ConfEdited
	default:
		return ConfOwn
	}
}

func sum(b []byte) string {
	s := sha256.Sum256(b)
	return hex.EncodeToString(s[:])
}
