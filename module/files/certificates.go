package files

import (
	"bytes"

	"maildomain/module/mail"
)

// PlanCertificates is what a change of what is served means for the files, in the
// order that is safe to publish: what is in written, the key before the certificate,
// then Exim's map, then Dovecot's list. was has what the files of those held, by
// their names. The files of a certificate that is served no more are left: they may go
// only when Dovecot has read the new list.
func (l Layout) PlanCertificates(before, after []mail.ServedCertificate, written []mail.Certificate, was map[string]mail.Certificate) ([]Change, error) {
	if len(after) > MostCertificates && len(after) > len(before) {
		return nil, ErrManyCertificates
	}
	var plan []Change
	for _, c := range written {
		plan = append(plan, l.CertificateChanges(was[c.Name], c)...)
	}
	for _, of := range []func([]mail.ServedCertificate) (File, error){l.SNIFile, l.CertsConfFile} {
		had, err := of(before)
		if err != nil {
			return nil, err
		}
		has, err := of(after)
		if err != nil {
			return nil, err
		}
		if !bytes.Equal(had.Body, has.Body) {
			plan = append(plan, Change{File: has, Was: had.Body})
		}
	}
	return plan, nil
}

// CertificateChanges are the files of a certificate that takes the place of another of
// its name, or of none where that has no name. Those that hold what they are to hold
// are left out: a renewal with the same key is one rename for each server. Where none
// was, what stands there is not ours by its name yet.
func (l Layout) CertificateChanges(was, is mail.Certificate) []Change {
	old := l.CertificateFiles(was)
	var plan []Change
	for i, f := range l.CertificateFiles(is) {
		c := Change{File: f}
		if c.Bare = was.Name == is.Name; c.Bare {
			c.Was = old[i].Body
		}
		if !bytes.Equal(c.Was, c.Body) {
			plan = append(plan, c)
		}
	}
	return plan
}

// OfAll says that a file names the domains of everybody: what changes in it is for
// administrators to see.
func (l Layout) OfAll(path string) bool {
	return path == l.SNI() || path == l.CertsConf() || path == l.DomainIPs()
}
