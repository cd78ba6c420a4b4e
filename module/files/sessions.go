package files

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// kickLimit is how long Dovecot may take to end sessions.
const kickLimit = 5 * time.Second

// EndSessions has Dovecot end the sessions of logins: "box@domain", or "*@domain"
// for all of a domain. A Dovecot that does not run has none.
func (t *Tree) EndSessions(ctx context.Context, logins []string) error {
	ctx, cancel := context.WithTimeout(ctx, kickLimit)
	defer cancel()
	kicks := make([]string, len(logins))
	for i, login := range logins {
		kicks[i] = "kick\t" + login
	}
	if err := t.doveadm(ctx, kicks); err != nil && !errors.Is(err, errNoDoveadm) {
		return fmt.Errorf("end sessions: %w", err)
	}
	return nil
}
