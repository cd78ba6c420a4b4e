package store

import "context"

// Queues are how many things of each kind wait for the background.
func (tx *Tx) Queues(ctx context.Context) (map[string]int, error) {
	queues := map[string]int{}
	for name, query := range map[string]string{
		"records": `SELECT count(*) FROM record WHERE state = 'pending'`,
		"former":  `SELECT count(*) FROM former_record WHERE state = 'pending'`,
		"keys":    `SELECT count(*) FROM dkim_key WHERE state = 'new'`,
		"orders":  `SELECT count(*) FROM ssl_order`,
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
