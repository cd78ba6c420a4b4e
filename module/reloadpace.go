package module

import (
	"context"
	"strconv"
	"time"

	"maildomain/module/store"
)

// What reloads leave behind ends all sessions when it is too much. They are as far apart
// as has that happen once an hour at most, where there are up to 600 certificates: the
// first few after a quiet time at once, then one after each pace.
const (
	paceSessions = time.Hour        // in which what is left behind may come to be too much once
	paceLongest  = 15 * time.Minute // though sessions end more often: somebody waits for a certificate
	paceFewest   = 3                // that are not held up
)

// tlsPaced is the setting that says by when, in ms since 1970, the reloads so far would be
// over, had each come a pace after the one before.
const tlsPaced = "tls_paced"

// reloadPace is how far apart reloads are with so many certificates, and how many may
// come at once after a quiet time: half of those that end no session.
func reloadPace(certificates int) (pace time.Duration, atOnce int) {
	lone := generationsHold / (generationHolds + certificates*certificateHolds/1000)
	return min(paceLongest, paceSessions/time.Duration(lone+1)), max(paceFewest, lone/2)
}

// pacedUntil is when the next reload may be, of so many certificates, after what tlsPaced
// says.
func pacedUntil(now time.Time, set string, certificates int) time.Time {
	pace, atOnce := reloadPace(certificates)
	return pacedBy(now, set, pace, atOnce).Add(-time.Duration(atOnce-1) * pace)
}

// afterPace is what tlsPaced is to say after a reload.
func afterPace(now time.Time, set string, certificates int) string {
	pace, atOnce := reloadPace(certificates)
	by := pacedBy(now, set, pace, atOnce)
	if by.Before(now) {
		by = now
	}
	return strconv.FormatInt(by.Add(pace).UnixMilli(), 10)
}

// pacedBy is what tlsPaced says, but no more than there can be: clocks are put back, and
// who applies certificates at once asks nobody.
func pacedBy(now time.Time, set string, pace time.Duration, atOnce int) time.Time {
	ms, err := strconv.ParseInt(set, 10, 64)
	if err != nil { // the first
		return time.Time{}
	}
	by, most := time.UnixMilli(ms), now.Add(time.Duration(atOnce)*pace)
	if by.After(most) {
		return most
	}
	return by
}

// pacedReload is when Dovecot may be told of so many certificates.
func pacedReload(ctx context.Context, tx *store.Tx, certificates int) (time.Time, error) {
	set, err := tx.Settings(ctx)
	return pacedUntil(tx.Now, set[tlsPaced], certificates), err
}
