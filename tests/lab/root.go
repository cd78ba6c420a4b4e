package lab

import (
	"os"
	"path/filepath"
	"testing"

	"maildomain/module/files"
)

// NewRoot is a directory for Start that "maildomain setup" was run on, with the
// ready marker, an empty list of outgoing addresses and a default certificate, but
// no mail domain.
func NewRoot(t testing.TB) string {
	t.Helper()
	NeedRoot(t)
	Need(t, "exim4")
	dir := t.TempDir()
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = root.Close() }()
	if _, err := files.Setup(t.Context(), root, files.Debian, files.KeepOthers); err != nil {
		t.Fatal(err)
	}
	Put(t, dir, files.Debian.DomainIPs(), "# maildomain 1: a test\n")
	Put(t, dir, files.Debian.Ready(), "# maildomain 1: a test\n")
	junk := files.Debian.JunkFile()
	if err := os.WriteFile(filepath.Join(dir, junk.Path), junk.Body, junk.Mode); err != nil {
		t.Fatal(err)
	}
	if err := WriteCertificate(dir, hostname); err != nil {
		t.Fatal(err)
	}
	return dir
}

// Put writes a file below root by hand, readable by Exim's group, and renames it
// into place as the module does.
func Put(t testing.TB, root, name, text string) {
	t.Helper()
	put(t, root, name, text, files.Debian.EximGroup)
}

// PutDomain writes the settings file of a mail domain by hand: a first line, then
// the settings, each a line such as "defaction: ignore".
func PutDomain(t testing.TB, root, domain string, settings ...string) {
	t.Helper()
	text := "# maildomain 1: a test\n"
	for _, line := range settings {
		text += line + "\n"
	}
	Put(t, root, filepath.Join(files.Debian.Domains(), domain), text)
}

// RemoveDomain removes the settings file of a mail domain.
func RemoveDomain(t testing.TB, root, domain string) {
	t.Helper()
	if err := os.Remove(filepath.Join(root, files.Debian.Domains(), domain)); err != nil {
		t.Fatal(err)
	}
}
