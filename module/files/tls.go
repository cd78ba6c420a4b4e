package files

import (
	"errors"
	"fmt"
	"path"
	"strings"

	"maildomain/module/mail"
)

// SNI is the map of names that clients ask for to certificates, for Exim.
func (l Layout) SNI() string { return path.Join(l.SSL(), "sni") }

// CertsConf is Dovecot's list of certificates with their names.
func (l Layout) CertsConf() string { return path.Join(l.Certs(), "certs.conf") }

// MostCertificates is how many blocks Dovecot 2.3 carries: each takes it about
// 140 KB and, at every reload, 1.5 ms in which nobody logs in. See README.md for
// what was measured.
const MostCertificates = 1500

// ErrManyCertificates is the error of more certificates than Dovecot carries.
var ErrManyCertificates = &mail.Error{Kind: mail.Limit, Field: "certificates", Text: "limit_certificates", Args: map[string]string{"limit": fmt.Sprint(MostCertificates)}}

// SNIFile is the map of names to certificates for Exim; no certificates make an
// empty map. Exim looks a name up in lower case as a whole: what is in no map, and
// what is no name, is served the default certificate.
func (l Layout) SNIFile(served []mail.ServedCertificate) (File, error) {
	if err := checkServed(served); err != nil {
		return File{}, fmt.Errorf("render %s: %w", l.SNI(), err)
	}
	t := newLines()
	for _, c := range served {
		for _, n := range c.Names {
			t.set(n.String(), c.Name)
		}
	}
	return t.file(l, l.SNI())
}

// CertsConfFile is Dovecot's list of certificates: one block each, with all its
// names. Dovecot compares what a client asks for with each name, in any case.
func (l Layout) CertsConfFile(served []mail.ServedCertificate) (File, error) {
	if err := checkServed(served); err != nil {
		return File{}, fmt.Errorf("render %s: %w", l.CertsConf(), err)
	}
	var b strings.Builder
	b.WriteString(header)
	if len(served) > 0 { // the processes that hold the list: 256 MB is Dovecot's own
		fmt.Fprintf(&b, "service config {\n  vsz_limit = %dM\n}\n", configMemory(len(served)))
	}
	for _, c := range served {
		b.WriteString("local_name \"")
		for i, n := range c.Names {
			if i > 0 {
				b.WriteByte(' ')
			}
			b.WriteString(n.String())
		}
		file := "/" + path.Join(l.Certs(), c.Name)
		fmt.Fprintf(&b, "\" {\n  ssl_cert = <%[1]s.crt\n  ssl_key = <%[1]s.key\n}\n", file)
	}
	return File{Path: l.CertsConf(), Body: []byte(b.String()), Mode: 0o644}, nil
}

// configMemory is in megabytes: what was measured, twice, for what grows besides.
func configMemory(blocks int) int { return 256 + blocks*260/1000 }

// checkServed holds the list against what the two formats rely on: a file name that
// is a name, names that stand once, and something to serve.
func checkServed(served []mail.ServedCertificate) error {
	if len(served) > MostCertificates {
		return ErrManyCertificates
	}
	files, names := map[string]bool{}, map[mail.Name]bool{}
	for _, c := range served {
		n, err := mail.ParseName(c.Name)
		switch {
		case c.Name == mail.ServerCertificate:
		case err != nil || n.String() != c.Name:
			return fmt.Errorf("certificate %q: %w", c.Name, errNoName)
		}
		if files[c.Name] {
			return fmt.Errorf("certificate %s: %w", c.Name, errTwice)
		}
		files[c.Name] = true
		if len(c.Names) == 0 {
			return fmt.Errorf("certificate %s: %w", c.Name, errNoNames)
		}
		for _, n := range c.Names {
			if again, err := mail.ParseName(n.String()); err != nil || again != n {
				return fmt.Errorf("certificate %s for %q: %w", c.Name, n, errNoName)
			}
			if names[n] {
				return fmt.Errorf("certificate %s for %q: %w", c.Name, n, errTwice)
			}
			names[n] = true
		}
	}
	return nil
}

var (
	errNoName  = errors.New("that is no name")
	errTwice   = errors.New("it stands twice")
	errNoNames = errors.New("it serves no name")
)

// WithoutCertificate are the files of CertificateFiles for removal, the certificate
// before the key of each. First what names them is to be published, and Dovecot to
// have reloaded: a file that it misses stops every log-in.
func (l Layout) WithoutCertificate(name string) []File {
	exim, dovecot := path.Join(l.SSL(), name), path.Join(l.Certs(), name)
	return []File{{Path: exim + ".crt"}, {Path: exim + ".key"}, {Path: dovecot + ".crt"}, {Path: dovecot + ".key"}}
}

// CertificateNames calls each with the path of every file of a certificate that
// stands, for Exim and for Dovecot.
func (t *Tree) CertificateNames(each func(path string) error) error {
	for _, dir := range []string{t.layout.SSL(), t.layout.Certs()} {
		err := t.names(dir, func(n string) error {
			if !strings.HasSuffix(n, ".crt") && !strings.HasSuffix(n, ".key") {
				return nil
			}
			return each(path.Join(dir, n))
		})
		if err != nil {
			return fmt.Errorf("list certificates: %w", err)
		}
	}
	return nil
}
