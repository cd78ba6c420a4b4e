package module

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"time"

	"maildomain/module/dns"
	"maildomain/module/mail"
	"maildomain/module/store"
)

const (
	formerTried = 30 * 24 * time.Hour // how long values are tried to be withdrawn
	formerAgain = time.Hour           // until a former server that still serves the world is looked at again
	probed      = 10 * time.Second    // that a probe stands
)

// leave notes, where the settings now have another server get the records, what stands
// at the one before: to be withdrawn; or to be left, where from now on nobody gets them
// and nobody asks for more.
func leave(ctx context.Context, tx *store.Tx, before, after mail.Settings, withdraw bool) error {
	if before.DNS == after.DNS && (after.DNS != mail.DNSByServer || sameServer(before.DNSServer, after.DNSServer)) {
		return nil
	}
	if before.DNS != mail.DNSByHand {
		state := store.FormerPending
		if after.DNS == mail.DNSByHand && !withdraw {
			state = store.FormerLeft
		}
		if err := tx.LeaveServer(ctx, formerOf(before), state); err != nil {
			return err
		}
	}
	if after.DNS == mail.DNSByHand {
		return nil
	}
	to := formerOf(after)
	return tx.ReturnTo(ctx, to.Mode, to.Server)
}

func sameServer(a, b string) bool { return serverName(a) == serverName(b) }

// serverName is the setting dns_server in the one spelling that a server has.
func serverName(s string) string {
	host, port, err := net.SplitHostPort(s)
	if err != nil {
		host, port = strings.Trim(s, "[]"), "53"
	}
	return strings.ToLower(net.JoinHostPort(strings.TrimSuffix(host, "."), port))
}

func formerOf(s mail.Settings) store.FormerServer {
	f := store.FormerServer{Mode: s.DNS}
	if s.DNS == mail.DNSByServer {
		f.Server, f.Key, f.Algorithm, f.Secret = serverName(s.DNSServer), s.DNSKey, s.DNSAlgorithm, s.DNSSecret
	}
	return f
}

// asSettings are settings with which records go to the former server.
func asSettings(f store.FormerServer) mail.Settings {
	return mail.Settings{DNS: f.Mode, DNSServer: f.Server, DNSKey: f.Key, DNSAlgorithm: f.Algorithm, DNSSecret: f.Secret}
}

// withdraw takes what is ours away from the servers that got records before.
func (m *Module) withdraw(ctx context.Context) error {
	var servers []store.FormerServer
	err := m.db.View(ctx, func(ctx context.Context, tx *store.Tx) (err error) {
		servers, err = tx.FormerDue(ctx)
		return err
	})
	for _, s := range servers {
		if ctx.Err() != nil {
			return errors.Join(err, ctx.Err())
		}
		if e := m.withdrawFrom(ctx, s); e != nil {
			err = errors.Join(err, fmt.Errorf("withdraw records from %s: %w", s.Server, e))
		}
	}
	return err
}

// withdrawFrom is withdraw from one server. While it is silent it is tried with one
// domain, ever more seldom.
func (m *Module) withdrawFrom(ctx context.Context, s store.FormerServer) error {
	var names []mail.Name
	var now time.Time
	err := m.db.View(ctx, func(ctx context.Context, tx *store.Tx) (err error) {
		now = tx.Now
		names, err = tx.FormerDomains(ctx, s.ID, jobsAtOnce)
		return err
	})
	silent := false
	for _, n := range names {
		var e error
		silent, e = m.withdrawOf(ctx, s, n)
		if err = errors.Join(err, e); silent || ctx.Err() != nil {
			break
		}
	}
	tooLong := now.Sub(s.Since) >= formerTried
	if !silent && s.Tries == 0 && !tooLong {
		return err
	}
	var given int64
	err = errors.Join(err, m.db.Update(ctx, func(ctx context.Context, tx *store.Tx) (err error) {
		tx.Aside()
		if tooLong {
			given, err = tx.GiveUpFormer(ctx, s.ID)
			return err
		}
		tries, due := 0, now
		if silent {
			tries, due = s.Tries+1, now.Add(mail.Delay(s.Tries))
		}
		return tx.FormerSilent(ctx, s.ID, tries, due)
	}))
	if given > 0 {
		m.log.Error().Str("server", s.Server).Int64("values", given).Msg("records were not withdrawn from the former name server for too long: they stand there on")
	}
	return err
}

// withdrawOf is withdrawFrom of one domain. It says whether the server was silent.
func (m *Module) withdrawOf(ctx context.Context, s store.FormerServer, n mail.Name) (silent bool, err error) {
	lane := m.lanes.of(n)
	select {
	case lane <- struct{}{}:
		defer func() { <-lane }()
	case <-ctx.Done():
		return false, ctx.Err()
	}
	ctx, cancel := context.WithTimeout(ctx, checkLimit)
	defer cancel()
	var rows []store.FormerRow
	var set mail.Settings
	var now time.Time
	err = m.db.View(ctx, func(ctx context.Context, tx *store.Tx) (err error) {
		now = tx.Now
		if set, err = settings(ctx, tx); err != nil {
			return err
		}
		rows, err = tx.FormerOf(ctx, n)
		return err
	})
	rows = slices.DeleteFunc(rows, func(r store.FormerRow) bool { return r.Server.ID != s.ID || r.State != store.FormerPending })
	if err != nil || len(rows) == 0 {
		return false, err
	}
	after := m.whatOf(ctx, set, s, n, rows)
	gone := false
	err = m.db.Update(context.WithoutCancel(ctx), func(ctx context.Context, tx *store.Tx) error {
		tx.Aside()
		for _, r := range after {
			if r.gone {
				gone = true
				if err := tx.DropFormer(ctx, r.FormerRow); err != nil {
					return err
				}
				continue
			}
			if err := tx.SetFormer(ctx, r.FormerRow, now.Add(r.rest)); err != nil {
				return err
			}
		}
		if gone && set.DNS != mail.DNSByHand {
			// It may have been before or behind the present one: what went there is put again.
			return tx.RetryRecords(ctx, n)
		}
		return nil
	})
	return slices.ContainsFunc(after, func(r formerAfter) bool { return r.silent }), err
}

// A formerAfter is what became of a value at a former server.
type formerAfter struct {
	store.FormerRow
	gone   bool          // it stands there no longer, or is not to be withdrawn after all
	silent bool          // the server did not answer
	rest   time.Duration // until it is looked at again
}

// whatOf withdraws values of a domain where that is safe.
func (m *Module) whatOf(ctx context.Context, set mail.Settings, s store.FormerServer, n mail.Name, rows []store.FormerRow) (after []formerAfter) {
	all := func(f formerAfter) []formerAfter {
		for _, r := range rows {
			r.Text, r.Args, r.Reason = f.Text, f.Args, f.Reason
			f.FormerRow = r
			after = append(after, f)
		}
		return after
	}
	switch found, err := m.stillServes(ctx, set, s, n); {
	case found == formerSilent:
		f := formerAfter{silent: true}
		f.Text, f.Args = dns.Why(err)
		f.Reason = err.Error()
		return all(f)
	case err != nil:
		f := formerAfter{rest: formerAgain}
		f.Reason = err.Error()
		return all(f)
	case found == formerSame:
		m.log.Info().Str("domain", n.String()).Str("server", s.Server).Msg("the former name server has the zone of the present one: nothing is withdrawn")
		return all(formerAfter{gone: true})
	case found == formerServes:
		f := formerAfter{rest: formerAgain}
		f.Text, f.Args = mail.FormerLive, map[string]string{"name": n.Unicode(), "server": serverSaid(s)}
		return all(f)
	}
	var changes []mail.RecordChange
	var about [][]store.FormerRow
	for i, r := range rows {
		if i == 0 || r.Name != rows[i-1].Name || r.Type != rows[i-1].Type {
			changes, about = append(changes, mail.RecordChange{Record: mail.Record{Name: r.Name, Type: r.Type}, Remove: true}), append(about, nil)
		}
		c := len(changes) - 1
		changes[c].Ours, about[c] = append(changes[c].Ours, r.Value), append(about[c], r)
	}
	for i, o := range m.handOver(ctx, asSettings(s), n, changes) {
		for _, r := range about[i] {
			r.Text, r.Args, r.Reason = o.Text, o.Args, o.Reason
			f := formerAfter{FormerRow: r, gone: o.Handed == mail.Published || o.Handed == mail.NoZone, silent: o.Handed == mail.Pending}
			if o.Handed == mail.Refused || o.Handed == mail.Conflict {
				f.State = store.FormerRefused
			}
			after = append(after, f)
		}
	}
	return after
}

// serverSaid is a former server for people.
func serverSaid(s store.FormerServer) string { return strings.TrimSuffix(s.Server, ":53") }
