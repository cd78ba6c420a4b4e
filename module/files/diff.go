package files

import (
	"crypto/sha256"
	"fmt"
	"path"
	"regexp"

	"github.com/rogpeppe/go-internal/diff"
)

// Diff is the change as a unified diff of the file, without the secrets in it.
func (c Change) Diff() string {
	was, is := conceal(c.Was), conceal(c.Body)
	if path.Base(path.Dir(c.Path)) == listsDir {
		was, is = cdbText(c.Was), cdbText(c.Body)
	}
	return string(diff.Diff("/"+c.Path, was, "/"+c.Path, is))
}

// Diff is what Put would do, as a unified diff from the standing file, without the
// secrets in it; empty where the bytes are the same.
func (t *Tree) Diff(want File) (string, error) {
	_, have, _, err := t.look(want.Path)
	if err != nil {
		return "", fmt.Errorf("compare %s: %w", want.Path, err)
	}
	return Change{File: want, Was: have}.Diff(), nil
}

// secrets are what a diff does not show, each with what it is.
var secrets = []struct {
	what string
	re   *regexp.Regexp
}{
	{"a private key", regexp.MustCompile(`(?s)-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(-----END [A-Z ]*PRIVATE KEY-----|$)`)},
	{"a password", regexp.MustCompile(`\{[A-Za-z0-9.-]+\}[^:\n]*`)},
	{"a secret", regexp.MustCompile(`(?m)^srs:.*$`)},
}

// conceal is a file with a word for each secret in it. Other secrets have other
// words, so that a diff shows where one changes.
func conceal(body []byte) []byte {
	for _, s := range secrets {
		body = s.re.ReplaceAllFunc(body, func(secret []byte) []byte {
			if string(secret) == lockedHash {
				return secret
			}
			sum := sha256.Sum256(secret)
			return fmt.Appendf(nil, "(%s, %x)", s.what, sum[:4])
		})
	}
	return body
}
