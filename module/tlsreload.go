package module

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"maps"
	"path"
	"slices"
	"strings"
	"sync"
	"time"

	"maildomain/module/files"
	"maildomain/module/mail"
	"maildomain/module/store"
)

// Dovecot reads its certificates at a reload alone, and sends everybody away who is
// about to log in at that moment. So several changes share one.
const (
	reloadQuiet   = 2 * time.Second  // without another change
	reloadLatest  = 10 * time.Second // after the first change, though others follow
	reloadLook    = time.Minute      // between two looks for what others changed
	reloadAgain   = time.Second      // after a reload that failed, and twice as long after each
	reloadSeldom  = 5 * time.Minute  // at last
	publishWaits  = time.Second      // for a reload to be heard
	tidiedAtATime = 64               // files, while the database is locked
)

// tlsApplied is the setting that says what Dovecot has read last.
const tlsApplied = "tls_applied"

// reloads are what Dovecot is to be told of certificates.
type reloads struct {
	telling sync.Mutex // while Dovecot is told
	conf    string     // Dovecot's configuration, to be checked before; empty: it cannot be

	mu          sync.Mutex
	first, last time.Time          // of the changes that it was not told of; zero: none
	shown       map[mail.Name]bool // what is to be looked for afterwards
	round       int                // counts changes
	looked      time.Time          // at the database
	tidied      bool               // since the process began
	tries       int                // that failed in a row
	after       time.Time          // not before then
	failure     string             // of the last try; empty: it did not fail
}

// publish has files of certificates put into place, and a reload wanted after it.
// Dovecot is not to read a certificate while its key is another; but nobody waits long
// for that: another reload follows in any case.
func (r *reloads) publish(now time.Time, shown []mail.Name, do func() error) error {
	held := r.telling.TryLock()
	for end := time.Now().Add(publishWaits); !held && time.Now().Before(end); held = r.telling.TryLock() {
		time.Sleep(time.Millisecond)
	}
	if held {
		defer r.telling.Unlock()
	}
	defer r.want(now, shown...)
	return do()
}

// want notes that what is served has changed.
func (r *reloads) want(now time.Time, shown ...mail.Name) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.shown == nil {
		r.shown = map[mail.Name]bool{}
	}
	for _, n := range shown {
		r.shown[n] = true
	}
	if r.first.IsZero() {
		r.first = now
	}
	r.last = now
	r.round++
}

// due says that it is time to compare, and for which state; look: nothing is known to
// have changed.
func (r *reloads) due(now time.Time) (round int, due bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case now.Before(r.after):
	case r.first.IsZero():
		due = r.looked.IsZero() || !now.Before(r.looked.Add(reloadLook))
	default:
		due = !now.Before(r.last.Add(reloadQuiet)) || !now.Before(r.first.Add(reloadLatest))
	}
	return r.round, due
}

// failed puts the next try off. It returns the error where it is another than that of
// the last try.
func (r *reloads) failed(now time.Time, err error) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.first.IsZero() {
		r.first, r.last = now, now
	}
	r.after = now.Add(min(reloadSeldom, reloadAgain<<min(r.tries, 16)))
	r.tries++
	if r.failure == err.Error() {
		return nil
	}
	r.failure = err.Error()
	return err
}

// done notes that Dovecot has read what a round is, and returns the names to look for.
func (r *reloads) done(now time.Time, round int) (shown []mail.Name) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.looked, r.tries, r.failure, r.after = now, 0, "", time.Time{}
	if r.round != round { // and something else meanwhile
		return nil
	}
	r.first, r.last = time.Time{}, time.Time{}
	shown = slices.Collect(maps.Keys(r.shown))
	r.shown = nil
	return shown
}

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
// once for many changes. It is harmless at any time and cheap when nothing has changed.
// An error that it has returned it does not return again while it lasts.
func (m *Module) ReloadCertificates(ctx context.Context) error {
	now := m.db.Now()
	round, due := m.reloads.due(now)
	if !due {
		return nil
	}
	if err := m.applyCertificates(ctx, round); err != nil {
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
	return m.applyCertificates(ctx, round)
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
	own, err := tx.Fingerprint(ctx, mail.ServerCertificate)
	if err != nil {
		return s, false, err
	}
	h := sha256.New()
	_, _ = h.Write(conf.Body) // it has no errors
	for _, b := range s.blocks {
		_, _ = io.WriteString(h, b.fingerprint+"\n")
	}
	_, _ = io.WriteString(h, own)
	s.hash = hex.EncodeToString(h.Sum(nil))
	set, err := tx.Settings(ctx)
	return s, set[tlsApplied] == s.hash, err
}

func (m *Module) applyCertificates(ctx context.Context, round int) error {
	var s servedState
	var applied bool
	var unproven []mail.Name
	err := m.db.View(ctx, func(ctx context.Context, tx *store.Tx) (err error) {
		if s, applied, err = m.servedState(ctx, tx); err != nil || applied {
			return err
		}
		unproven, err = tx.Unproven(ctx)
		return err
	})
	if err != nil {
		return err
	}
	if applied {
		shown := m.reloads.done(m.db.Now(), round)
		return errors.Join(m.tidyCertificates(ctx, !m.tidiedOnce()), m.prove(ctx, shown))
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
	shown := append(m.reloads.done(m.db.Now(), round), unproven...)
	return errors.Join(m.tidyCertificates(ctx, true), m.prove(ctx, slices.Compact(slices.SortedFunc(slices.Values(shown), byName))))
}

func (m *Module) noteApplied(ctx context.Context, hash string) error {
	err := m.db.Update(context.WithoutCancel(ctx), func(ctx context.Context, tx *store.Tx) error {
		tx.Aside()
		return tx.Set(ctx, tlsApplied, hash)
	})
	if err != nil {
		return fmt.Errorf("note what dovecot has read: %w", err)
	}
	return nil
}

// certificatesStand makes sure that every file which Dovecot's list names is there, as
// the database has it: one that is missing stops every log-in, and the reload is
// answered with success. What differs reconcile puts right.
func (m *Module) certificatesStand(ctx context.Context) error {
	wrong, err := m.certificateDrift(ctx, m.db.View)
	if err == nil && len(wrong) > 0 { // a change on its way, or more
		wrong, err = m.certificateDrift(ctx, m.db.Alone)
	}
	if err != nil || len(wrong) == 0 {
		return err
	}
	m.unpublished.Store(true)
	return fmt.Errorf("%d files of certificates are not in place, /%s is %s", len(wrong), wrong[0].Path, wrong[0].Drift)
}

// certificateDrift are the files that Dovecot's list names, and the list, where they differ.
func (m *Module) certificateDrift(ctx context.Context, read func(context.Context, func(context.Context, *store.Tx) error) error) (wrong []files.Finding, err error) {
	l := m.tree.Layout()
	err = read(ctx, func(ctx context.Context, tx *store.Tx) error {
		wrong = nil
		rows, err := tx.ServedRows(ctx)
		if err != nil {
			return err
		}
		bs := blocks(rows)
		lists, err := listFiles(l, bs)
		if err != nil {
			return err
		}
		names := blockNames(bs)
		all := lists
		err = tx.Certificates(ctx, func(c store.CertificateRow) error {
			if names[c.Name] || c.Name == mail.ServerCertificate {
				all = append(all, l.CertificateFiles(c.Certificate)...)
			}
			return nil
		})
		for _, f := range all {
			if err != nil {
				return err
			}
			var is bool
			var finding files.Finding
			if finding, is, err = m.tree.Compare(f); is {
				wrong = append(wrong, finding)
			}
		}
		return err
	})
	return wrong, err
}

// listFiles are the two lists of what is served.
func listFiles(l files.Layout, bs []block) ([]files.File, error) {
	sni, err := l.SNIFile(certificates(bs))
	if err != nil {
		return nil, err
	}
	conf, err := l.CertsConfFile(certificates(bs))
	return []files.File{sni, conf}, err
}

// blockNames are what files of certificates are called after.
func blockNames(bs []block) map[string]bool {
	names := map[string]bool{}
	for _, b := range bs {
		names[b.Name] = true
	}
	return names
}

func byName(a, b mail.Name) int { return strings.Compare(a.String(), b.String()) }

func (m *Module) tidiedOnce() bool {
	m.reloads.mu.Lock()
	defer m.reloads.mu.Unlock()
	return m.reloads.tidied
}

// tidyCertificates removes the files of certificates that are served no more, unless
// Dovecot is to be told of something.
func (m *Module) tidyCertificates(ctx context.Context, wanted bool) error {
	if !wanted {
		return nil
	}
	stale, err := m.staleCertificates(ctx)
	if err != nil {
		return err
	}
	for part := range slices.Chunk(stale, tidiedAtATime) {
		err := m.db.Alone(ctx, func(ctx context.Context, tx *store.Tx) error {
			s, applied, err := m.servedState(ctx, tx)
			if err != nil || !applied {
				return err
			}
			names := blockNames(s.blocks)
			for _, p := range part {
				if names[certificateIn(p)] {
					continue
				}
				finding, is, err := m.tree.Compare(files.File{Path: p})
				if err == nil && is && finding.Drift == files.FileStale {
					err = m.tree.Put(files.File{Path: p})
				}
				if err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return fmt.Errorf("remove certificates that are served no more: %w", err)
		}
	}
	m.reloads.mu.Lock()
	defer m.reloads.mu.Unlock()
	m.reloads.tidied = true
	return nil
}

// staleCertificates are the files of certificates that stand and that nothing names.
func (m *Module) staleCertificates(ctx context.Context) (stale []string, err error) {
	var names map[string]bool
	err = m.db.View(ctx, func(ctx context.Context, tx *store.Tx) error {
		rows, err := tx.ServedRows(ctx)
		names = blockNames(blocks(rows))
		return err
	})
	if err != nil {
		return nil, err
	}
	err = m.tree.CertificateNames(func(p string) error {
		if n := certificateIn(p); !names[n] && n != mail.ServerCertificate {
			stale = append(stale, p)
		}
		return nil
	})
	slices.Sort(stale) // the certificate before its key
	return stale, err
}

// certificateIn is what the file of a certificate is called after.
func certificateIn(p string) string {
	b := path.Base(p)
	return b[:len(b)-len(path.Ext(b))]
}
