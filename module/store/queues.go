package store

import (
	"context"

	"maildomain/module/mail"
)

// DomainsFoundWrong are the domains of which the last check found something wrong, or
// could not ask, the one that was checked longest ago first; at most most.
func (tx *Tx) DomainsFoundWrong(ctx context.Context, most int) ([]mail.Name, error) {
	return tx.names(ctx, `SELECT domain FROM finding WHERE state <> 'right' GROUP BY domain ORDER BY min(at) LIMIT ?`, most)
}

// Queues are how many things of each kind wait for the background.
func (tx *Tx) Queues(ctx context.Context) (map[string]int, error) {
	queues := map[string]int{}
	for name, query := range map[string]string{
		"records": `SELECT count(*) FROM record WHERE state = 'pending'`,
		"keys":    `SELECT count(*) FROM dkim_key WHERE state = 'new'`,
		"mail":    `SELECT count(*) FROM deleted WHERE state <> 'kept'`,
	} {
		var n int
		if _, err := tx.row(ctx, query, nil, &n); err != nil {
			return nil, err
		}
		queues[name] = n
	}
	return queues, nil
}
