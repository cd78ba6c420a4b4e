package store

import (
	"context"
	"database/sql"

	"maildomain/module/mail"
)

// DomainsWithRecords are the domains that have, or should have, records in DNS.
func (tx *Tx) DomainsWithRecords(ctx context.Context) ([]mail.Name, error) {
	return tx.names(ctx, `SELECT domain FROM record UNION SELECT domain FROM dkim_key UNION
		SELECT name FROM domain WHERE dmarc = 1 UNION SELECT name FROM domain WHERE secure = 1`)
}

// DomainsWithoutKeys are domains that are to sign and have no key.
func (tx *Tx) DomainsWithoutKeys(ctx context.Context) ([]mail.Name, error) {
	return tx.names(ctx, `SELECT name FROM domain WHERE dkim = 1 AND NOT EXISTS (SELECT 1 FROM dkim_key WHERE dkim_key.domain = domain.name AND state <> 'old')`)
}

// OwnersOfMailboxes are the owners of domains that have mailboxes.
func (tx *Tx) OwnersOfMailboxes(ctx context.Context) (owners []string, err error) {
	err = tx.rows(ctx, `SELECT name FROM owner WHERE emails > 0 ORDER BY name`, nil, func(r *sql.Rows) error {
		owners = append(owners, "")
		return r.Scan(&owners[len(owners)-1])
	})
	return owners, err
}

// DomainsAtAnotherRate are the domains of an owner whose log-ins may send another
// number of letters an hour than rate.
func (tx *Tx) DomainsAtAnotherRate(ctx context.Context, owner string, rate int64) ([]mail.Name, error) {
	return tx.names(ctx, `SELECT name FROM domain WHERE owner = ? AND mailrate <> ?`, owner, rate)
}
