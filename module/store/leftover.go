package store

import (
	"strconv"
	"time"

	"maildomain/module/mail"
)

// MostLeftover is how often a value that the server did not take away is tried again, once
// a day. A zone that went to other servers may never come back.
const MostLeftover = 30

// leftover is of values that are to go, and that a server refused to take away or had no
// zone for.
var leftover = `wanted = 0 AND state IN ('refused', 'no_zone') AND tries < ` + strconv.Itoa(MostLeftover)

// Leftover says so of a value.
func (r RecordRow) Leftover() bool {
	return !r.Wanted && (r.State == mail.Refused || r.State == mail.NoZone) && r.Tries < MostLeftover
}

// Turn says that a value is to be handed over now.
func (r RecordRow) Turn(now time.Time) bool {
	return r.State == mail.Pending || r.Leftover() && !now.Before(r.Due)
}
