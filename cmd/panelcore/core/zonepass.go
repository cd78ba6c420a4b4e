package core

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"sync"
	"time"
)

// Pauses before a zone, or a server that did not answer, is tried again.
const (
	zonePause   = 30 * time.Second
	zoneMost    = time.Hour
	serverPause = 15 * time.Second
	serverMost  = 10 * time.Minute

	passLimit = 5 * time.Second // of passing a zone on while a call waits
	dueAtOnce = 100
)

// pauseAfter is the first one, doubled each time.
func pauseAfter(first, most time.Duration, failures int) time.Duration {
	return min(first<<min(failures-1, 16), most)
}

// A hold is on a server that did not answer: until then nothing is sent to it.
type hold struct {
	mu       sync.Mutex
	failures int
	until    time.Time
}

func (h *hold) on(now time.Time) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return now.Before(h.until)
}

// failed puts the server on hold, if it is not; exchanges that fail together count once.
func (h *hold) failed(now time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !now.Before(h.until) {
		h.failures++
		h.until = now.Add(pauseAfter(serverPause, serverMost, h.failures))
	}
}

func (h *hold) release() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.failures, h.until = 0, time.Time{}
}

// mark notes that the server may not have everything of the zone.
func (z *zones) mark(ctx context.Context, t *zoneTx, zone string) error {
	if s, err := newUpdateServer(z.params.all()); s == nil || err != nil {
		return nil // there is none; all zones are marked when one is set
	}
	return t.exec(ctx, "mark zone "+zone, `INSERT INTO unpassed (zone, tries, next, reason) VALUES (?, 0, 0, '') ON CONFLICT DO NOTHING`, zone)
}

// markAll notes that another server, or another key, is to be tried with every zone.
func (z *zones) markAll(ctx context.Context) error {
	z.hold.release()
	s, err := newUpdateServer(z.params.all())
	if err != nil {
		return err
	}
	return z.view(ctx, func(ctx context.Context, t *zoneTx) error {
		if err := t.exec(ctx, "mark zones", `DELETE FROM unpassed`); err != nil || s == nil {
			return err
		}
		return t.exec(ctx, "mark zones", `INSERT INTO unpassed (zone, tries, next, reason)
			SELECT name, 0, 0, '' FROM zone UNION SELECT zone, 0, 0, '' FROM passed WHERE server = ?`, s.addr)
	})
}

// passOn passes a zone on and returns why it is still to be passed on; "" when it is not.
func (z *zones) passOn(zone string) string {
	for range 2 { // the exchange that one joins may have begun before one's change
		if z.hold.on(z.now()) {
			return errUnreached.Error()
		}
		_, err, _ := z.passing.Do(zone, func() (any, error) {
			ctx, cancel := context.WithTimeout(z.running, passLimit)
			defer cancel()
			return nil, z.attempt(ctx, zone)
		})
		if err != nil && z.running.Err() == nil {
			z.log.Warn().Err(err).Str("zone", zone).Msg("zone not passed on; it is tried again")
		}
		if why, waits := z.waits(zone); !waits {
			return ""
		} else if why != "" {
			return why
		}
	}
	return "the name server has not taken all changes of the zone yet"
}

// waits says whether a zone is still to be passed on, and why it could not be.
func (z *zones) waits(zone string) (why string, waits bool) {
	err := z.view(context.Background(), func(ctx context.Context, t *zoneTx) error {
		rows, err := t.QueryContext(ctx, `SELECT reason FROM unpassed WHERE zone = ?`, zone)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			waits = true
			if err := rows.Scan(&why); err != nil {
				return err
			}
		}
		return rows.Err()
	})
	if err != nil {
		z.log.Error().Err(err).Str("zone", zone).Msg("queue of zones not read")
		return "internal error", true
	}
	return why, waits
}

// attempt passes on what the server lacks of a zone, and notes a failure in the queue.
func (z *zones) attempt(ctx context.Context, zone string) error {
	s, err := newUpdateServer(z.params.all())
	if err != nil || s == nil {
		return err
	}
	defer s.hangUp()
	if err = z.exchange(ctx, s, zone); err == nil {
		z.hold.release()
		return nil
	}
	if over(ctx) {
		return nil // the next look goes on where this one ended
	}
	if errors.Is(err, errUnreached) {
		z.hold.failed(z.now())
	}
	return errors.Join(err, z.failed(context.WithoutCancel(ctx), zone, err))
}

// over says that ctx has ended, or is about to: what is sent or read until then may say
// so first.
func over(ctx context.Context) bool {
	end, ends := ctx.Deadline()
	return ctx.Err() != nil || ends && !time.Now().Before(end)
}

// failed notes why a zone was not passed on. One that the server refuses is tried
// again later each time; one whose server does not answer, as soon as that does.
func (z *zones) failed(ctx context.Context, zone string, why error) error {
	return z.view(ctx, func(ctx context.Context, t *zoneTx) error {
		if errors.Is(why, errUnreached) {
			return t.exec(ctx, "note failure", `UPDATE unpassed SET next = 0, reason = ? WHERE zone = ?`, why.Error(), zone)
		}
		var tries int
		if err := t.QueryRowContext(ctx, `SELECT coalesce(max(tries), 0) + 1 FROM unpassed WHERE zone = ?`, zone).Scan(&tries); err != nil {
			return fmt.Errorf("read queue: %w", err)
		}
		next := z.now().Add(pauseAfter(zonePause, zoneMost, tries)).Unix()
		return t.exec(ctx, "note failure", `UPDATE unpassed SET tries = ?, next = ?, reason = ? WHERE zone = ?`, tries, next, why.Error(), zone)
	})
}

// mostRefused bounds how many names are tried one by one before the server takes one.
const mostRefused = 20

// firstNames is how many names are in the first part; each part is twice the last one
// while the server takes less than quickPart for it. So a far one takes some each time.
const (
	firstNames = 5
	quickPart  = passLimit / 5
)

// exchange sends what differs, part by part, until nothing does. What the server
// took is noted before the next part.
// When it refuses a part, its names are sent one by one, so that one that cannot be
// does not hold back the others.
func (z *zones) exchange(ctx context.Context, s *updateServer, zone string) error {
	var sent difference
	var failure error // the first refusal
	refused, names, took, alone := map[string]bool{}, firstNames, false, false
	for {
		began := time.Now() // the time of the day, not the core's
		part, err := z.next(ctx, s, zone, sent, refused, names)
		if err != nil || part.empty() {
			return cmp.Or(err, failure)
		}
		of := part.names()
		if part, err = z.asked(ctx, s, zone, part); err == nil && !part.empty() {
			err = z.send(ctx, s, zone, part)
		}
		sent = difference{}
		switch {
		case err == nil:
			sent, took = part, true
			if !alone && time.Since(began) < quickPart {
				names = min(2*names, maxUpdateRecords)
			}
		case !errors.Is(err, errContent):
			return err
		case len(of) > 1:
			names, alone = 1, true
		default:
			failure = cmp.Or(failure, err)
			maps.Copy(refused, of)
			if len(refused) >= mostRefused && !took {
				return failure
			}
		}
	}
}

// asked returns a part without the records that the server has of others: they are not
// sent, lest they get another TTL, or are taken away when ours go. An error says that
// the part may not be sent.
func (z *zones) asked(ctx context.Context, s *updateServer, zone string, part difference) (difference, error) {
	standing, err := s.alone(ctx, part)
	if err != nil || len(standing) == 0 {
		return part, err
	}
	err = z.view(ctx, func(ctx context.Context, t *zoneTx) (err error) {
		part, err = t.noteTheirs(ctx, s.addr, zone, part, standing)
		return err
	})
	return part, err
}

// send sends one part. That the server may have it is noted before: where its answer is
// lost, the part is sent once more, or what came of it taken away, and is nobody else's.
func (z *zones) send(ctx context.Context, s *updateServer, zone string, part difference) error {
	var fresh []record
	err := z.view(ctx, func(ctx context.Context, t *zoneTx) (err error) {
		fresh, err = t.noteSent(ctx, s.addr, zone, part)
		return err
	})
	if err != nil {
		return err
	}
	err = s.send(ctx, zone, part)
	if _, is := errors.AsType[untaken](err); !is {
		return err
	}
	return errors.Join(err, z.view(context.WithoutCancel(ctx), func(ctx context.Context, t *zoneTx) error {
		return t.notePassed(ctx, s.addr, zone, difference{remove: fresh})
	}))
}

// next notes what the server took and returns what is to be sent then, of the names
// that it has not refused. When nothing differs any more, the zone is off the queue.
func (z *zones) next(ctx context.Context, s *updateServer, zone string, sent difference, refused map[string]bool, names int) (part difference, err error) {
	err = z.view(ctx, func(ctx context.Context, t *zoneTx) error {
		if err := t.notePassed(ctx, s.addr, zone, sent); err != nil {
			return err
		}
		all, err := t.difference(ctx, s.addr, zone)
		if err != nil {
			return err
		}
		if all.empty() {
			return t.exec(ctx, "take zone off the queue", `DELETE FROM unpassed WHERE zone = ?`, zone)
		}
		part = all.without(func(name string) bool { return refused[name] }).first(names)
		return nil
	})
	return part, err
}

// unpassed returns the names of a zone that the server has not as they should be.
func (z *zones) unpassed(ctx context.Context, zone string) (names map[string]bool, err error) {
	s, err := newUpdateServer(z.params.all())
	if err != nil || s == nil {
		return nil, err
	}
	err = z.view(ctx, func(ctx context.Context, t *zoneTx) error {
		d, err := t.difference(ctx, s.addr, zone)
		names = d.names()
		return err
	})
	return names, err
}
