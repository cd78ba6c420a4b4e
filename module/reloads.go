package module

import (
	"maps"
	"slices"
	"sync"
	"time"

	"maildomain/module/mail"
)

// Dovecot reads its certificates at a reload alone, and sends everybody away who is
// about to log in at that moment. So several changes share one.
const (
	reloadQuiet  = 2 * time.Second  // without another change
	reloadLatest = 10 * time.Second // after the first change, though others follow
	reloadUrgent = time.Minute      // after one that is not to wait for longer, though many reloads went before
	reloadLook   = time.Minute      // between two looks for what others changed
	reloadAgain  = time.Second      // after a reload that failed, and twice as long after each
	reloadSeldom = 5 * time.Minute  // at last
	publishWaits = time.Second      // for a reload to be heard
)

// reloads are what Dovecot is to be told of certificates.
type reloads struct {
	telling sync.Mutex // while Dovecot is told
	conf    string     // Dovecot's configuration, to be checked before; empty: it cannot be

	mu          sync.Mutex
	first, last time.Time          // of the changes that it was not told of; zero: none
	shown       map[mail.Name]bool // what is to be looked for afterwards
	round       int                // counts changes
	looked      time.Time          // at the database
	urgent      time.Time          // by when the reload is to be; zero: no hurry
	paced       time.Time          // not before then, but for what is urgent: many went before
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

// want notes that what is served has changed. The server's own certificate is shown to
// everybody: it does not wait for long.
func (r *reloads) want(now time.Time, shown ...mail.Name) {
	if slices.Contains(shown, mail.StoredName(mail.ServerCertificate)) {
		r.hurry(now)
	}
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

// hurry has the reload for what changes now, or just did, not wait for long.
func (r *reloads) hurry(now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.urgent.IsZero() {
		r.urgent = now.Add(reloadUrgent)
	}
}

// pace has the reload wait until then, for many went before; false: it need not, or may
// not any more.
func (r *reloads) pace(now, until time.Time) (waits bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.first.IsZero() && now.Before(until) { // what others changed, or a process before this one, may be urgent
		r.first, r.last, r.urgent = now, now, now.Add(reloadUrgent)
	}
	r.paced = until
	return r.waits(now)
}

func (r *reloads) waits(now time.Time) bool {
	return now.Before(r.paced) && (r.urgent.IsZero() || now.Before(r.urgent))
}

// due says that it is time to compare, and for which state; look: nothing is known to
// have changed.
func (r *reloads) due(now time.Time) (round int, due bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case now.Before(r.after) || r.waits(now):
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
	r.first, r.last, r.urgent, r.paced = time.Time{}, time.Time{}, time.Time{}, time.Time{}
	shown = slices.Collect(maps.Keys(r.shown))
	r.shown = nil
	return shown
}
