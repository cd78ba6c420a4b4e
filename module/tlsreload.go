package module

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"maildomain/module/files"
	"maildomain/module/mail"
	"maildomain/module/store"
)

// tlsApplied is the setting that says what Dovecot has read last.
const tlsApplied = "tls_applied"

// tlsPlaced is the setting that says, when it is not empty, that Dovecot was told once:
// all that is served was in place then, and ours.
const tlsPlaced = "tls_placed"

// CheckDovecotConf has that configuration of Dovecot checked before each reload, an
// absolute path. A tree that is the whole system has its own checked in any case.
func (m *Module) CheckDovecotConf(conf string) { m.reloads.conf = conf }

// Reloading says that Dovecot is to be told of certificates.
func (m *Module) Reloading() bool {
	m.reloads.mu.Lock()
	defer m.reloads.mu.Unlock()
	return !m.reloads.first.IsZero()
}

// reloadFailure is why Dovecot was not told; empty: nothing is wrong.
func (m *Module) reloadFailure() string {
	m.reloads.mu.Lock()
	defer m.reloads.mu.Unlock()
	return m.reloads.failure
}

// ReloadCertificates has Dovecot read the certificates when they have changed: soon, but
// once for many changes, and not as often as they come. It is harmless at any time and cheap when nothing has changed.
// An error that it has returned it does not return again while it lasts.
func (m *Module) ReloadCertificates(ctx context.Context) error {
	now := m.db.Now()
	round, due := m.reloads.due(now)
	if !due {
		return nil
	}
	if err := m.applyCertificates(ctx, round, false); err != nil {
		if ctx.Err() != nil {
			return nil
		}
		return m.reloads.failed(now, fmt.Errorf("have dovecot read its certificates: %w", err))
	}
	return nil
}

// ApplyCertificates is ReloadCertificates at once.
func (m *Module) ApplyCertificates(ctx context.Context) error {
	m.reloads.mu.Lock()
	round := m.reloads.round
	m.reloads.mu.Unlock()
	return m.applyCertificates(ctx, round, true)
}

// What is served, as Dovecot reads it: the list, and a certificate for each block.
type servedState struct {
	blocks []block
	hash   string
}

func (m *Module) servedState(ctx context.Context, tx *store.Tx) (s servedState, applied bool, err error) {
	rows, err := tx.ServedRows(ctx)
	if err != nil {
		return s, false, err
	}
	s.blocks = blocks(rows)
	conf, err := m.tree.Layout().CertsConfFile(certificates(s.blocks))
	if err != nil {
		return s, false, err
	}
	h := sha256.New()
	_, _ = h.Write(conf.Body) // it has no errors
	names := blockNames(s.blocks)
	err = tx.Chains(ctx, func(name string, chain []byte) { // whole: who vouches for one is in no fingerprint
		if names[name] || name == mail.ServerCertificate {
			_, _ = fmt.Fprintf(h, "%s %x\n", name, sha256.Sum256(chain))
		}
	})
	if err != nil {
		return s, false, err
	}
	s.hash = hex.EncodeToString(h.Sum(nil))
	set, err := tx.Settings(ctx)
	return s, set[tlsApplied] == s.hash, err
}

func (m *Module) applyCertificates(ctx context.Context, round int, atOnce bool) error {
	var s servedState
	var applied bool
	var paced time.Time
	var unseen []mail.Name
	err := m.db.View(ctx, func(ctx context.Context, tx *store.Tx) (err error) {
		if s, applied, err = m.servedState(ctx, tx); err != nil || applied {
			return err
		}
		if paced, err = pacedReload(ctx, tx, len(s.blocks)); err != nil {
			return err
		}
		unseen, err = unproven(ctx, tx)
		return err
	})
	if err != nil {
		return err
	}
	if applied {
		shown := m.reloads.done(m.db.Now(), round)
		return errors.Join(m.tidyCertificates(ctx, !m.tidiedOnce()), m.prove(ctx, shown))
	}
	if !atOnce && m.reloads.pace(m.db.Now(), paced) {
		return nil
	}
	if err := m.certificatesStand(ctx); err != nil {
		return err
	}
	if m.reloads.conf != "" {
		if err := m.tree.CheckDovecot(ctx, m.reloads.conf); err != nil && !errors.Is(err, files.ErrNoDovecot) {
			return err
		}
	}
	m.reloads.telling.Lock()
	heard, err := m.tree.ReloadDovecot(ctx)
	m.reloads.telling.Unlock()
	if err != nil {
		return err
	}
	if heard {
		m.log.Info().Int("certificates", len(s.blocks)).Msg("dovecot has read its certificates anew")
		if err := m.leaveGeneration(ctx, len(s.blocks)); err != nil {
			return err
		}
	}
	m.reloads.mu.Lock()
	current := m.reloads.round == round
	m.reloads.mu.Unlock()
	if !current { // what was read may be the one or the other: it is told again
		return nil
	}
	if err := m.noteApplied(ctx, s.hash); err != nil {
		return err
	}
	shown := append(m.reloads.done(m.db.Now(), round), unseen...)
	return errors.Join(m.tidyCertificates(ctx, true), m.prove(ctx, slices.Compact(slices.SortedFunc(slices.Values(shown), byName))))
}

func (m *Module) noteApplied(ctx context.Context, hash string) error {
	err := m.db.Update(context.WithoutCancel(ctx), func(ctx context.Context, tx *store.Tx) error {
		tx.Aside()
		if err := tx.Set(ctx, tlsPlaced, "1"); err != nil {
			return err
		}
		return tx.Set(ctx, tlsApplied, hash)
	})
	if err != nil {
		return fmt.Errorf("note what dovecot has read: %w", err)
	}
	return nil
}

func byName(a, b mail.Name) int { return strings.Compare(a.String(), b.String()) }
