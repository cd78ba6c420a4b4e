package files_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"maildomain/module/files"
	"maildomain/module/mail"
)

var certificateTime = time.Now().UTC().Truncate(time.Second)

// served is a certificate called after the first name, for all of them.
func served(t *testing.T, names ...string) mail.ServedCertificate {
	t.Helper()
	var ns []mail.Name
	for _, s := range names {
		n, err := mail.ParseName(s)
		if err != nil {
			t.Fatal(err)
		}
		ns = append(ns, n)
	}
	c, err := mail.SelfSign(ns, certificateTime, certificateTime.Add(time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	c.Name = names[0]
	return mail.ServedCertificate{Certificate: c, Names: ns}
}

func TestNamesLeadToTheirCertificate(t *testing.T) {
	list := []mail.ServedCertificate{served(t, "mail.a.example", "imap.a.example"), served(t, "bücher.example")}
	list[1].Name = "xn--bcher-kva.example"
	sni, err := files.Debian.SNIFile(list)
	if err != nil {
		t.Fatal(err)
	}
	want := "mail.a.example: mail.a.example\nimap.a.example: mail.a.example\nxn--bcher-kva.example: xn--bcher-kva.example\n"
	if _, got, _ := strings.Cut(string(sni.Body), "\n"); got != want || sni.Path != "etc/exim4/ssl/sni" || sni.Mode != 0o640 || sni.Group != "Debian-exim" {
		t.Errorf("%+v:\n%s", sni, got)
	}
	conf, err := files.Debian.CertsConfFile(list)
	if err != nil {
		t.Fatal(err)
	}
	want = `local_name "mail.a.example imap.a.example" {
  ssl_cert = </etc/dovecot/certs/mail.a.example.crt
  ssl_key = </etc/dovecot/certs/mail.a.example.key
}
local_name "xn--bcher-kva.example" {
  ssl_cert = </etc/dovecot/certs/xn--bcher-kva.example.crt
  ssl_key = </etc/dovecot/certs/xn--bcher-kva.example.key
}
`
	if _, got, _ := strings.Cut(string(conf.Body), "}\n"); got != want || conf.Path != "etc/dovecot/certs/certs.conf" || conf.Mode != 0o644 {
		t.Errorf("%+v:\n%s", conf, got)
	}
	for _, f := range []func([]mail.ServedCertificate) (files.File, error){files.Debian.SNIFile, files.Debian.CertsConfFile} {
		if f, err := f(nil); err != nil || strings.Count(string(f.Body), "\n") != 1 || f.Body == nil {
			t.Errorf("none: %q, %v", f.Body, err)
		}
	}
}

// A name of a file comes from the database, and what is not one there is a fault.
func TestListOfCertificatesRefusesWhatWouldBeReadAsMore(t *testing.T) {
	a, b := served(t, "a.example"), served(t, "b.example", "a.example")
	for what, list := range map[string][]mail.ServedCertificate{
		"a name twice":     {a, b},
		"a file twice":     {a, {Certificate: a.Certificate, Names: b.Names[:1]}},
		"no name":          {{Certificate: a.Certificate}},
		"the zero name":    {{Certificate: a.Certificate, Names: []mail.Name{{}}}},
		"a path":           {{Certificate: mail.Certificate{Name: "../../etc/passwd"}, Names: a.Names}},
		"another spelling": {{Certificate: mail.Certificate{Name: "A.example"}, Names: a.Names}},
		"a line":           {{Certificate: mail.Certificate{Name: "a.example\nx"}, Names: a.Names}},
		"a quote":          {{Certificate: mail.Certificate{Name: `a.example"`}, Names: a.Names}},
		"empty":            {{Names: a.Names}},
		"names that bite":  {{Certificate: a.Certificate, Names: []mail.Name{mail.StoredName("a.example\" {\n")}}},
		"names in capital": {{Certificate: a.Certificate, Names: []mail.Name{mail.StoredName("A.example")}}},
	} {
		if f, err := files.Debian.SNIFile(list); err == nil {
			t.Errorf("sni takes %s: %s", what, f.Body)
		}
		if f, err := files.Debian.CertsConfFile(list); err == nil {
			t.Errorf("certs.conf takes %s: %s", what, f.Body)
		}
	}
}

func TestMoreCertificatesThanDovecotCarriesAreRefused(t *testing.T) {
	list := make([]mail.ServedCertificate, files.MostCertificates+1)
	for i := range list {
		n := mail.StoredName(fmt.Sprintf("n%d.example", i))
		list[i] = mail.ServedCertificate{Certificate: mail.Certificate{Name: n.String()}, Names: []mail.Name{n}}
	}
	if _, err := files.Debian.CertsConfFile(list[1:]); err != nil {
		t.Error(err)
	}
	if _, err := files.Debian.CertsConfFile(list); !errors.Is(err, files.ErrManyCertificates) {
		t.Error(err)
	}
}
