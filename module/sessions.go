package module

import (
	"context"
	"sync"
)

// logins are those whose sessions are to be ended, each with how many times still.
type logins struct {
	mu   sync.Mutex
	left map[string]int
}

// endedTimes is how often sessions of a login are ended, a second apart at least:
// for up to a second Dovecot goes on by the file that it read before, and lets
// somebody in (it looks at a passwd-file once a second).
const endedTimes = 2

// endSessions has the sessions of a login, "box@domain" or "*@domain", ended soon.
func (m *Module) endSessions(login string) {
	m.over.mu.Lock()
	defer m.over.mu.Unlock()
	if m.over.left == nil {
		m.over.left = map[string]int{}
	}
	m.over.left[login] = endedTimes
}

// EndSessions ends the sessions of mailboxes that were suspended, deleted, or given
// another password. It is to be called once a second or less often.
func (m *Module) EndSessions(ctx context.Context) error {
	m.over.mu.Lock()
	var now []string
	for login := range m.over.left {
		now = append(now, login)
		if m.over.left[login]--; m.over.left[login] == 0 {
			delete(m.over.left, login)
		}
	}
	m.over.mu.Unlock()
	if len(now) == 0 {
		return nil
	}
	return m.tree.EndSessions(ctx, now)
}
