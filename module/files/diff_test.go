package files

import (
	"strings"
	"testing"
)

// Whoever looks at what would change is not shown what others could use.
func TestDiffShowsNoSecret(t *testing.T) {
	const key = "-----BEGIN PRIVATE KEY-----\nMIGHsecret\nsecretAG\n-----END PRIVATE KEY-----\n"
	for what, c := range map[string]struct{ was, is, shown string }{
		"another password": {"info:{ARGON2ID}$argon2id$secret1::::/x::y\n", "info:{ARGON2ID}$argon2id$secret2::::/x::y\n", "+info:(a password, "},
		"suspended":        {"info:{SHA512-CRYPT}secret::::/x::y\n", "info:{CRYPT}!::::/x::y\n", "+info:{CRYPT}!::::/x::y"},
		"by hand":          {"info:{PLAIN}secret", "", "-info:(a password, "},
		"beside others":    {"a:{X}secret:\nb:1\n", "a:{X}secret:\nb:2\n", " a:(a password, "},
		"another key":      {key, strings.Replace(key, "MIG", "MIX", 1), "+(a private key, "},
		"half a key":       {key[:40], "", "-(a private key, "},
		"a key of old":     {"", "-----BEGIN RSA PRIVATE KEY-----\nsecret\n-----END RSA PRIVATE KEY-----\n", "+(a private key, "},
		"rewriting":        {"srs: secret\n", "", "-(a secret, "},
	} {
		got := Change{File: File{Path: "x", Body: []byte(c.is)}, Was: []byte(c.was)}.Diff()
		if strings.Contains(got, "secret1") || strings.Contains(strings.ReplaceAll(got, "(a secret", ""), "secret") || !strings.Contains(got, c.shown) {
			t.Errorf("%s:\n%s", what, got)
		}
	}
	if got := string(conceal([]byte("state: active\nredirval: a@b.example\n"))); got != "state: active\nredirval: a@b.example\n" {
		t.Errorf("concealed too much: %q", got)
	}
}
