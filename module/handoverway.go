package module

import (
	"context"
	"slices"

	"maildomain/module/mail"
	"maildomain/module/store"
)

// handOver is HandOver by the way that the settings choose.
func (m *Module) handOver(ctx context.Context, s mail.Settings, n mail.Name, changes []mail.RecordChange) []mail.RecordOutcome {
	var owner string
	err := m.db.View(ctx, func(ctx context.Context, tx *store.Tx) (err error) {
		owner, err = tx.OwnerOf(ctx, n)
		return err
	})
	if err != nil {
		return alike(changes, mail.Pending, err.Error(), mail.HandedPanelFails)
	}
	return m.handOverFor(ctx, s, n, owner, changes)
}

// alike is the same outcome of all changes.
func alike(changes []mail.RecordChange, h mail.Handed, reason, text string, args ...string) (os []mail.RecordOutcome) {
	for _, c := range changes {
		os = append(os, mail.RecordOutcome{Name: c.Name, Type: c.Type, Handed: h, Reason: reason, Text: text, Args: mail.Say("", text, args...).Args})
	}
	return os
}

// handOverFor is handOver of records that go into zones of the panel, which have owners
// of their own: for the mail domain's owner, or for nobody, where what is left of a
// domain is taken away, and for what is the server's.
func (m *Module) handOverFor(ctx context.Context, s mail.Settings, n mail.Name, owner string, changes []mail.RecordChange) []mail.RecordOutcome {
	all := func(h mail.Handed, reason, text string, args ...string) []mail.RecordOutcome {
		return alike(changes, h, reason, text, args...)
	}
	switch s.DNS {
	case mail.DNSByServer:
		server, err := nameServer(s)
		if err != nil {
			return all(mail.Refused, err.Error(), mail.HandedKeyWrong, "key", s.DNSKey)
		}
		return server.HandOver(ctx, changes)
	case mail.DNSByCore:
		if m.panel.DNS == nil {
			return all(mail.Pending, "the panel is not connected", mail.HandedPanelAway)
		}
		os, err := m.panel.DNS(ctx, n, owner, changes)
		if err != nil {
			return sent(all(mail.Pending, err.Error(), mail.HandedPanelFails))
		}
		if !slices.EqualFunc(os, changes, func(o mail.RecordOutcome, c mail.RecordChange) bool { return o.Name == c.Name && o.Type == c.Type }) {
			return sent(all(mail.Pending, "it answers something else than it was asked", mail.HandedPanelFails))
		}
		return sent(os)
	}
	return all(mail.NoZone, "records are entered by hand", "")
}

// silent says that whoever gets the records gave no answer. One that gave one, and has
// trouble with a zone, takes what is in others.
func silent(o mail.RecordOutcome) bool {
	return o.Handed == mail.Pending && slices.Contains([]string{mail.HandedSilent, mail.HandedPanelAway, mail.HandedPanelFails}, o.Text)
}
