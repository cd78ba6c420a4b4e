package module

import (
	"context"
	"encoding/hex"
	"errors"
	"strings"
	"time"

	"maildomain/module/files"
	"maildomain/module/mail"
	"maildomain/module/store"
)

// A sight is what mail servers showed for the names of a domain, beside what they are
// to show.
type sight struct {
	name     mail.Name
	domain   *mail.Domain          // nil: it is gone, or this is the mail server itself
	row      *store.CertificateRow // nil: there is none
	findings []store.Finding       // one for each name; none where nothing is served or nobody is asked
	wanted   []string              // fingerprint, for each finding
	shown    map[string]bool       // fingerprints
}

// see asks the mail servers for every name of a domain. wanted is what wantedShown
// says; nil: it is read.
func (m *Module) see(ctx context.Context, n mail.Name, wanted map[mail.Name]string) (*sight, error) {
	s := &sight{name: n, shown: map[string]bool{}}
	var before []store.Finding
	err := m.db.View(ctx, func(ctx context.Context, tx *store.Tx) (err error) {
		if wanted == nil {
			if wanted, err = wantedShown(ctx, tx); err != nil {
				return err
			}
		}
		if s.domain, err = domain(ctx, tx, n); err != nil {
			return err
		}
		if s.row, err = certificateOf(ctx, tx, n.String()); err != nil {
			return err
		}
		before, err = tx.FindingsOf(ctx, n)
		return err
	})
	if err != nil {
		return nil, err
	}
	ask := m.asking()
	switch {
	case len(m.proofs.asker.Servers) == 0:
	case s.domain != nil && s.domain.Secure:
		for _, name := range s.domain.SecureAlias {
			s.judge(name, wanted[name], ask(ctx, name), before, m.db.Now())
		}
	case n.String() == mail.ServerCertificate && s.row != nil: // who asks for no name is shown it
		s.judge(mail.Name{}, fingerprintOf(s.row), ask(ctx, mail.Name{}), before, m.db.Now())
	}
	return s, ctx.Err()
}

// asking asks for one name after the other. A port that did not answer once is not
// waited for again.
func (m *Module) asking() func(context.Context, mail.Name) []files.Shown {
	a := m.proofs.asker
	a.Now = m.db.Now
	var silent []files.Shown
	return func(ctx context.Context, n mail.Name) []files.Shown {
		shown := a.Ask(ctx, n)
		shown, silent = append(shown, silent...), nil
		a.Servers = nil
		for _, sh := range shown {
			if errors.Is(sh.Err, context.DeadlineExceeded) {
				silent = append(silent, sh)
			} else {
				a.Servers = append(a.Servers, sh.Server)
			}
		}
		return shown
	}
}

// judge adds what was found of one name.
func (s *sight) judge(n mail.Name, want string, shown []files.Shown, before []store.Finding, now time.Time) {
	f := judge(n, want, shown, now)
	for _, sh := range shown {
		if sh.Err == nil {
			s.shown[hex.EncodeToString(sh.Fingerprint[:])] = true
		}
	}
	for _, b := range before {
		if b.Why != mail.ForTLS || b.Name != f.Name {
			continue
		}
		switch was := b.Verdict; {
		case was.Text == mail.CheckTLSBack && was.Args["fingerprint"] == want:
			f.Verdict = was // that the one before is served well says nothing about the one that was not
		case was.State == mail.Unknown && f.Verdict.State == mail.Unknown && was.Args["fingerprint"] == want:
			f.Verdict.Args["since"] = was.Args["since"]
		}
	}
	s.findings, s.wanted = append(s.findings, f), append(s.wanted, want)
}

// judge is what ports showed for one name, held against the fingerprint that they are
// to show; empty: there is no certificate.
func judge(n mail.Name, want string, shown []files.Shown, now time.Time) store.Finding {
	f := store.Finding{Name: n.String(), Why: mail.ForTLS, At: now}
	of := map[error]*sightings{}
	at := func(kind error) *sightings {
		if of[kind] == nil {
			of[kind] = &sightings{}
		}
		return of[kind]
	}
	for _, sh := range shown {
		seen := store.Seen{Who: string(sh.Service) + " " + sh.Addr}
		kind := errUnasked
		switch {
		case sh.Err == nil:
			fp := hex.EncodeToString(sh.Fingerprint[:])
			seen.Values = []string{strings.Join(sh.Names, " "), sh.Expire.Format(time.DateOnly), sh.Issuer, sh.TLS, "SHA-256 " + fp[:16]}
			if kind = errOther; fp == want {
				kind = nil
			}
		case errors.Is(sh.Err, files.ErrHandshake):
			kind = files.ErrHandshake
		case errors.Is(sh.Err, files.ErrNoTLS):
			kind = files.ErrNoTLS
		case errors.Is(sh.Err, files.ErrNobodyListens):
			kind = files.ErrNobodyListens
		}
		if sh.Err != nil {
			seen.Error = sh.Err.Error()
		}
		at(kind).add(seen.Who, sh)
		f.Seen = append(f.Seen, seen)
	}
	f.Verdict = verdictOf(n, want, at, now)
	return f
}

// Kinds of what a port showed, besides those of files.
var (
	errOther   = errors.New("another certificate is shown")
	errUnasked = errors.New("it could not be asked")
)

// sightings are ports that showed the same.
type sightings struct {
	ports []string
	first files.Shown
}

func (s *sightings) add(port string, sh files.Shown) {
	if len(s.ports) == 0 {
		s.first = sh
	}
	s.ports = append(s.ports, port)
}

func (s *sightings) any() bool   { return len(s.ports) > 0 }
func (s *sightings) all() string { return strings.Join(s.ports, ", ") }

func verdictOf(n mail.Name, want string, at func(error) *sightings, now time.Time) mail.Verdict {
	since := now.UTC().Format(time.RFC3339)
	served, other, broken, plain, unasked := at(nil), at(errOther), at(files.ErrHandshake), at(files.ErrNoTLS), at(errUnasked)
	switch {
	case want == "":
		return mail.Say(mail.Wrong, mail.CheckTLSMissing, "name", n.Unicode())
	case broken.any():
		return mail.Say(mail.Wrong, mail.CheckTLSHandshake, "ports", broken.all(), "error", broken.first.Err.Error())
	case other.any():
		return mail.Say(mail.Wrong, mail.CheckTLSOther, "ports", other.all(), "found", strings.Join(other.first.Names, " "))
	case plain.any():
		return mail.Say(mail.Wrong, mail.CheckTLSNone, "ports", plain.all())
	case unasked.any():
		return mail.Say(mail.Unknown, mail.CheckTLSSilent, "ports", unasked.all(), "error", unasked.first.Err.Error(), "since", since, "fingerprint", want)
	case !served.any():
		return mail.Say(mail.Unknown, mail.CheckTLSNobody, "ports", at(files.ErrNobodyListens).all(), "since", since, "fingerprint", want)
	}
	date := served.first.Expire.Format(time.DateOnly)
	switch {
	case !now.Before(served.first.Expire):
		return mail.Say(mail.Wrong, mail.CheckTLSExpired, "date", date)
	case served.first.Distrust != nil:
		return mail.Say(mail.Right, mail.CheckTLSUntrusted, "date", date, "error", served.first.Distrust.Error())
	}
	return mail.Say(mail.Right, mail.CheckTLSServed, "date", date)
}

// state is the worst that was found of any name; right where nothing was to be seen.
func (s *sight) state() mail.State {
	state := mail.Right
	for _, f := range s.findings {
		if byUrgency(f, store.Finding{Verdict: mail.Verdict{State: state}}) < 0 {
			state = f.Verdict.State
		}
	}
	return state
}

// blames says that the servers cannot use the new certificate: TLS fails with it, or
// they go on with the one before. Who shows a third one reads something else than the
// module writes, and would with the one before too.
func (s *sight) blames() bool {
	if s.row == nil || s.row.Before.Name == "" {
		return false
	}
	chain, err := mail.ParseChain(s.row.Before.Chain)
	before := err == nil && s.shown[hex.EncodeToString(chain.Fingerprint[:])]
	for i, f := range s.findings {
		if s.wanted[i] != fingerprintOf(s.row) { // another domain's is shown for that name
			continue
		}
		if f.Verdict.Text == mail.CheckTLSHandshake || f.Verdict.Text == mail.CheckTLSOther && before {
			return true
		}
	}
	return false
}

// canGoBack says that the certificate before still does for all names, and for as long
// as it takes to try again.
func (s *sight) canGoBack(now time.Time) bool {
	chain, err := mail.ParseChain(s.row.Before.Chain)
	return err == nil && chain.NotAfter.After(now.Add(backOutlasted)) && (s.domain == nil || chain.CoversAll(s.domain.SecureAlias)) &&
		hex.EncodeToString(chain.Fingerprint[:]) != fingerprintOf(s.row)
}

// back notes of every name that the certificate before was put back, which has this
// fingerprint, in the place of the one that was looked for.
func (s *sight) back(fingerprint string) {
	var ports, why string
	for _, f := range s.findings {
		if f.Verdict.State == mail.Wrong {
			ports, why = f.Verdict.Args["ports"], f.Verdict.Args["error"]
			if why == "" {
				why = errOther.Error()
			}
			break
		}
	}
	for i := range s.findings {
		s.findings[i].Verdict = mail.Say(mail.Wrong, mail.CheckTLSBack, "ports", ports, "error", why, "fingerprint", fingerprint, "refused", fingerprintOf(s.row))
	}
}

// refused says that a certificate was served for a domain and gave way to the one
// before, which is served still: nobody is to try it again but a person.
func (m *Module) refused(ctx context.Context, n mail.Name, fingerprint [32]byte) (refused bool, err error) {
	err = m.db.View(ctx, func(ctx context.Context, tx *store.Tx) error {
		is, err := tx.Fingerprint(ctx, n.String())
		if err != nil {
			return err
		}
		fs, err := tx.FindingsOf(ctx, n)
		for _, f := range fs {
			args := f.Verdict.Args
			refused = refused || f.Verdict.Text == mail.CheckTLSBack && args["refused"] == hex.EncodeToString(fingerprint[:]) && args["fingerprint"] == is
		}
		return err
	})
	return refused, err
}

// settled says that what was served before is not needed any more.
func (s *sight) settled(now time.Time) bool {
	if s.state() == mail.Right {
		return true // also where nobody is asked
	}
	for _, f := range s.findings {
		since, err := time.Parse(time.RFC3339, f.Verdict.Args["since"])
		if f.Verdict.State == mail.Wrong || f.Verdict.State == mail.Unknown && (err != nil || now.Sub(since) < doubtLasts) {
			return false
		}
	}
	return true
}
