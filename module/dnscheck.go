package module

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"maildomain/module/dns"
	"maildomain/module/mail"
	"maildomain/module/store"
)

// A RecordState is a record that a domain needs, how far it is on its way, and what
// the last check saw of it.
type RecordState struct {
	mail.Record
	Handed  mail.Handed // empty: it is not handed over
	Text    string      // names the sentence that says why; empty: Handed says all
	Args    map[string]string
	Reason  string         // the server's own words
	Checked *store.Finding // nil: never
}

// A Reading is a domain's records, and what a check of them found.
type Reading struct {
	Domain   mail.Domain
	Records  []RecordState
	Keys     []mail.SigningKey
	Findings []store.Finding // of a check: of records and of addresses that mail leaves from

	Former []store.FormerRow // values that stand with former name servers still

	rows []store.RecordRow
}

// DomainRecords are the records that the mail domain elid needs. It asks nobody.
func (m *Module) DomainRecords(ctx context.Context, by Actor, elid string) (Reading, error) {
	d, _, err := m.find(ctx, by, elid)
	if err != nil {
		return Reading{}, err
	}
	facts, err := m.publication(ctx)
	if err != nil {
		return Reading{}, err
	}
	r := Reading{Domain: d}
	err = m.db.View(ctx, func(ctx context.Context, tx *store.Tx) (err error) {
		if r.Keys, err = tx.KeysOf(ctx, d.Name); err != nil {
			return err
		}
		if r.rows, err = tx.RecordsOf(ctx, d.Name); err != nil {
			return err
		}
		if r.Findings, err = tx.FindingsOf(ctx, d.Name); err != nil {
			return err
		}
		r.Former, err = tx.FormerOf(ctx, d.Name)
		return err
	})
	if err != nil {
		return r, err
	}
	pub, ok := facts.of(d, r.Keys, r.rows)
	if !ok {
		return r, &mail.Error{Kind: mail.Unavailable, Field: "mail_host", Text: "unavailable_mail_host"}
	}
	records, err := pub.Records()
	if err != nil {
		return r, err
	}
	r.Records = recordStates(records, r.rows, r.Findings)
	return r, nil
}

// recordStates are records as rows and findings have them.
func recordStates(records []mail.Record, rows []store.RecordRow, findings []store.Finding) (states []RecordState) {
	for _, rec := range records {
		s := RecordState{Record: rec}
		for _, row := range rows {
			// Of several values of one record the one that is behind says how far it is.
			if row.Wanted && row.Name == rec.Name && row.Type == rec.Type && (s.Handed == "" || row.State != mail.Published) {
				s.Handed, s.Text, s.Args, s.Reason = row.State, row.Text, row.Args, row.Reason
			}
		}
		for i, f := range findings {
			if f.Name == rec.Name && f.Type == rec.Type && f.Why == rec.Why {
				s.Checked = &findings[i]
			}
		}
		states = append(states, s)
	}
	return states
}

// checkLimit bounds what a check waits for name servers in all.
const checkLimit = 20 * time.Second

// CheckDomain asks the name servers of the mail domain elid, and the resolver, what
// stands, and holds it against what should. What it found is kept.
func (m *Module) CheckDomain(ctx context.Context, by Actor, elid string) (Reading, error) {
	r, err := m.DomainRecords(ctx, by, elid)
	if err != nil {
		return r, err
	}
	r.Findings, err = m.check(ctx, r)
	if err != nil {
		return r, err
	}
	if err := m.db.PutFindings(ctx, r.Domain.Name, r.Findings); err != nil {
		return r, fmt.Errorf("keep what the check of %s found: %w", r.Domain.Name, err)
	}
	return r, nil
}

// check is CheckDomain without keeping.
func (m *Module) check(ctx context.Context, r Reading) ([]store.Finding, error) {
	d := r.Domain
	ctx, cancel := context.WithTimeout(ctx, checkLimit)
	defer cancel()
	facts, err := m.publication(ctx)
	if err != nil {
		return nil, err
	}
	set, err := m.Settings(ctx)
	if err != nil {
		return nil, err
	}
	a, err := m.asker(set)
	if err != nil {
		return nil, err
	}
	pub, ok := facts.of(d, r.Keys, r.rows)
	if !ok {
		return nil, &mail.Error{Kind: mail.Unavailable, Field: "mail_host", Text: "unavailable_mail_host"}
	}
	var seen *sight
	var asked errgroup.Group
	asked.Go(func() (err error) {
		seen, err = m.see(ctx, d.Name, nil)
		return err
	})
	found, err := a.Check(ctx, pub)
	if err := asked.Wait(); err != nil {
		return nil, fmt.Errorf("ask which certificates are served for %s: %w", d.Name, err)
	}
	if err != nil {
		return nil, fmt.Errorf("check the records of %s: %w", d.Name, err)
	}
	var senders []dns.Sender
	for _, ip := range pub.Senders() {
		helo := facts.host
		if ip == d.IP {
			helo = d.Name // as Exim greets from a domain's own address
		}
		senders = append(senders, dns.Sender{Addr: ip, HELO: helo})
	}
	found = append(found, a.CheckSenders(ctx, senders, facts.servers)...)
	var fs []store.Finding
	for _, f := range found {
		s := store.Finding{Name: f.Record.Name, Type: f.Record.Type, Why: f.Record.Why, Verdict: f.Verdict, At: m.db.Now()}
		for _, answer := range f.Answers {
			seen := store.Seen{Who: answer.Who(), Values: answer.Values}
			if answer.Err != nil {
				seen.Error, seen.Text = answer.Err.Error(), dns.Asked(answer.Err)
				if seen.Text != "" && strings.Contains(s.Verdict.Args["error"], seen.Error) {
					s.Verdict.Args[mail.ErrorText] = seen.Text
				}
			}
			s.Seen = append(s.Seen, seen)
		}
		fs = append(fs, s)
	}
	fs = append(fs, seen.findings...)
	if seen.row != nil && seen.row.Before.Name != "" { // and draw the conclusions
		return fs, m.prove(ctx, []mail.Name{d.Name})
	}
	return fs, nil
}

// Times of looking again at domains that lists note something of.
const (
	recheckEvery = time.Minute
	recheckAfter = time.Hour
	recheckMost  = 32 // at one go
)

// recheck asks again about domains of which something is wrong or on its way.
func (m *Module) recheck(ctx context.Context) error {
	now := m.db.Now()
	if now.UnixMilli() < m.checkAfter.Load() {
		return nil
	}
	m.checkAfter.Store(now.Add(recheckEvery).UnixMilli())
	var ns []mail.Name
	err := m.db.View(ctx, func(ctx context.Context, tx *store.Tx) (err error) {
		ns, err = tx.DomainsToCheck(ctx, now.Add(-recheckAfter), recheckMost)
		return err
	})
	if err != nil {
		return err
	}
	return severally(ctx, ns, func(ctx context.Context, n mail.Name) error {
		_, err := m.CheckDomain(ctx, itself, n.String())
		if _, gone := errors.AsType[*mail.Error](err); gone {
			return nil // deleted meanwhile, or the panel does not say enough to check anything
		}
		return err
	})
}

// PublishRecords hands the records of domains over anew, those too that were refused
// before.
func (m *Module) PublishRecords(ctx context.Context, by Actor, elids []string) ([]Outcome, error) {
	return m.all(ctx, by, elids, func(elid string) error {
		d, _, err := m.find(ctx, by, elid)
		if err != nil || by.Preview != nil {
			return err
		}
		facts, err := m.publication(ctx)
		if err != nil {
			return err
		}
		err = m.db.Update(ctx, func(ctx context.Context, tx *store.Tx) error {
			tx.Aside()
			now, err := domain(ctx, tx, d.Name)
			if err != nil {
				return err
			}
			keys, err := tx.KeysOf(ctx, d.Name)
			if err != nil {
				return err
			}
			if err := m.want(ctx, tx, &deed{domain: d.Name, later: true}, facts, now, keys); err != nil {
				return err
			}
			if err := tx.RetryFormer(ctx, d.Name); err != nil {
				return err
			}
			return tx.RetryRecords(ctx, d.Name)
		})
		if err != nil {
			return err
		}
		return m.HandOver(ctx, d.Name)
	})
}

// ExportKey is the private key that letters of the mail domain elid are signed with,
// or the one that is to be next, in PEM. Only an administrator or the owner's reseller
// gets it, and the log says so.
func (m *Module) ExportKey(ctx context.Context, by Actor, elid string) (selector, pem string, err error) {
	if by.Level == mail.LevelUser {
		return "", "", &mail.Error{Kind: mail.Access, Field: "level"}
	}
	d, _, err := m.find(ctx, by, elid)
	if err != nil {
		return "", "", err
	}
	var keys []mail.SigningKey
	err = m.db.View(ctx, func(ctx context.Context, tx *store.Tx) error {
		keys, err = tx.KeysOf(ctx, d.Name)
		return err
	})
	if err != nil {
		return "", "", err
	}
	best := -1
	for i, k := range keys {
		if k.Key.Algorithm() == mail.DKIMRSA && k.State != mail.KeyOld && (best < 0 || k.State == mail.KeySigning) {
			best = i
		}
	}
	if best < 0 {
		return "", "", &mail.Error{Kind: mail.NotFound, Field: "dkim", Value: d.Name.Unicode(), Text: "missed_key"}
	}
	text, err := keys[best].Key.PEM()
	if err != nil {
		return "", "", err
	}
	m.log.Warn().Str("user", by.User).Str("su_by", by.SuBy).Str("request_id", by.RequestID).Str("object", d.Name.String()).
		Str("selector", keys[best].Selector.String()).Msg("a private key was shown")
	return keys[best].Selector.String(), string(text), nil
}
