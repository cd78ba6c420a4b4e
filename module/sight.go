package module

import (
	"context"
	"encoding/hex"
	"errors"
	"slices"
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
			rows, err := tx.ServedRows(ctx)
			if err != nil {
				return err
			}
			wanted = wantedShown(blocks(rows))
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
			if s.row != nil && wanted[name] == "" && slices.Contains(s.row.Lacks, name) {
				s.waits(name, m.db.Now())
				continue
			}
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

// waits adds that a name is to have a certificate that is still ordered.
func (s *sight) waits(n mail.Name, now time.Time) {
	f := store.Finding{Name: n.String(), Why: mail.ForTLS, At: now, Verdict: mail.Say(mail.Unknown, mail.CheckTLSWaits, "name", n.Unicode())}
	s.findings, s.wanted = append(s.findings, f), append(s.wanted, "")
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

// state is the worst that was found of any name; right where nothing was to be seen.
func (s *sight) state() mail.State {
	state := mail.Right
	for _, f := range s.findings {
		if f.Verdict.Text != mail.CheckTLSWaits && byUrgency(f, store.Finding{Verdict: mail.Verdict{State: state}}) < 0 {
			state = f.Verdict.State
		}
	}
	return state
}

// settled says that what was served before is not needed any more.
func (s *sight) settled(now time.Time) bool {
	if s.state() == mail.Right {
		return true // also where nobody is asked
	}
	for _, f := range s.findings {
		since, err := time.Parse(time.RFC3339, f.Verdict.Args["since"])
		if f.Verdict.Text == mail.CheckTLSWaits {
			continue
		}
		if f.Verdict.State == mail.Wrong || f.Verdict.State == mail.Unknown && (err != nil || now.Sub(since) < doubtLasts) {
			return false
		}
	}
	return true
}
