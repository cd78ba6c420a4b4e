package module

import (
	"context"
	"fmt"
	"maps"
	"strings"

	"maildomain/module/acme"
	"maildomain/module/mail"
	"maildomain/module/store"
)

// settings are the settings of the module.
func settings(ctx context.Context, tx *store.Tx) (mail.Settings, error) {
	s := mail.DefaultSettings()
	kept, err := tx.Settings(ctx)
	if err != nil {
		return s, err
	}
	if err := mail.SettingsEditOf(kept).Apply(&s); err != nil {
		return s, fmt.Errorf("read the settings of the module: %w", err)
	}
	return s, nil
}

// Settings are what an administrator has set of the module.
func (m *Module) Settings(ctx context.Context) (s mail.Settings, err error) {
	if known := m.settled.Load(); known != nil { // every change asks
		return *known, nil
	}
	at := m.resettled.Load()
	err = m.db.View(ctx, func(ctx context.Context, tx *store.Tx) error {
		s, err = settings(ctx, tx)
		return err
	})
	if err == nil {
		m.settled.Store(&s)
	}
	if m.resettled.Load() != at { // changed while we read
		m.settled.Store(nil)
	}
	return s, err
}

// EditSettings changes settings of the module. Only an administrator may.
func (m *Module) EditSettings(ctx context.Context, by Actor, e mail.SettingsEdit) error {
	if by.Level != mail.LevelAdmin {
		return &mail.Error{Kind: mail.Access, Field: "level"}
	}
	m.lookForFilters(ctx)
	defer func() {
		m.resettled.Add(1)
		m.settled.Store(nil)
		m.Doubt()
		m.filterWatch.askSoon()
	}()
	return m.change(ctx, by, "mailparam", "mailparam", func(ctx context.Context, tx *store.Tx) (*deed, error) {
		s, err := settings(ctx, tx)
		if err != nil {
			return nil, err
		}
		d, secrets, filters, was := &deed{before: s.Values()}, s.Secrets(), s.Filters, s
		if err := e.Apply(&s); err != nil {
			return nil, err
		}
		d.after = s.Values()
		for name, secret := range s.Secrets() {
			if secret == secrets[name] {
				continue
			}
			d.before[name], d.after[name] = "", "changed"
			if err := tx.Set(ctx, name, secret); err != nil {
				return nil, err
			}
		}
		withdraw := e.DNSWithdraw != nil && *e.DNSWithdraw == mail.Flag(true)
		if withdraw {
			some, err := tx.WithdrawLeft(ctx)
			if err != nil {
				return nil, err
			}
			if some {
				d.before["dns_withdraw"], d.after["dns_withdraw"] = mail.Flag(false), mail.Flag(true)
			}
		}
		if maps.Equal(d.before, d.after) {
			return nil, nil
		}
		if err := leave(ctx, tx, was, s, withdraw); err != nil {
			return nil, err
		}
		for name := range d.after {
			if strings.HasPrefix(name, "dns") && d.before[name] != d.after[name] {
				// Another server has none of them, and one that refused may do so no longer.
				if err := tx.RetryAllRecords(ctx); err != nil {
					return nil, err
				}
				m.silentUntil.Store(0)
				break
			}
		}
		if err := retryOrders(ctx, tx, d, s); err != nil {
			return nil, err
		}
		for name, value := range s.Values() {
			if value == d.before[name] {
				continue
			}
			if err := tx.Set(ctx, name, value); err != nil {
				return nil, err
			}
		}
		d.plan, err = m.filtersPlan(ctx, tx, filters)
		return d, err
	})
}

// retryOrders has orders tried again at once that may have failed for a setting that d
// changes; those that the authority has just counted a failure of wait on.
func retryOrders(ctx context.Context, tx *store.Tx, d *deed, s mail.Settings) error {
	var kinds []string
	for name := range d.after {
		switch {
		case d.before[name] == d.after[name]:
		case name == "acme_directory":
			return tx.RetryElsewhere(ctx, s.ACME.Directory, afterFailure)
		case strings.HasPrefix(name, "acme"):
			kinds = append(kinds, string(acme.BadAccount), string(acme.NotHere))
		case strings.HasPrefix(name, "dns"), name == "resolvers":
			kinds = append(kinds, string(acme.NotHere))
		}
	}
	if len(kinds) == 0 {
		return nil
	}
	return tx.RetryOrders(ctx, s.ACME.Directory, afterFailure, kinds...)
}

// params are the server's settings, with what the module has of its own.
func (m *Module) params(ctx context.Context) (mail.Params, mail.Settings, error) {
	p, err := m.panel.Params(ctx)
	if err != nil {
		return p, mail.Settings{}, fmt.Errorf("ask for the server's settings: %w", err)
	}
	s, err := m.Settings(ctx)
	return ownParams(p, s), s, err
}

// ownParams are the panel's settings, with what the module has of its own.
func ownParams(p mail.Params, s mail.Settings) mail.Params {
	if s.MailHost != "" {
		p.MailHost = s.MailHost
	}
	if s.DMARC != "" {
		p.DMARCTemplate = s.DMARC
	}
	return p
}
