package store

import (
	"context"
	"database/sql"
	"fmt"
)

// Check looks for what is wrong with the database and says it, a sentence each.
func (db *DB) Check(ctx context.Context) (wrong []string, err error) {
	err = db.View(ctx, func(ctx context.Context, tx *Tx) error {
		err := tx.rows(ctx, `PRAGMA integrity_check(20)`, nil, func(r *sql.Rows) error {
			var said string
			if err := r.Scan(&said); err != nil {
				return err
			}
			if said != "ok" {
				wrong = append(wrong, said)
			}
			return nil
		})
		if err != nil {
			return err
		}
		var counted, there int64
		if _, err := tx.row(ctx, `SELECT emaildomains, (SELECT count(*) FROM domain) FROM meta`, nil, &counted, &there); err != nil {
			return err
		}
		if counted != there {
			wrong = append(wrong, fmt.Sprintf("%d mail domains are counted, %d are there", counted, there))
		}
		for _, text := range sentences {
			err := tx.rows(ctx, text, nil, func(r *sql.Rows) error {
				wrong = append(wrong, "")
				return r.Scan(&wrong[len(wrong)-1])
			})
			if err != nil {
				return err
			}
		}
		for _, c := range counters {
			if err := tx.recount(ctx, c, &wrong); err != nil {
				return err
			}
		}
		return nil
	})
	return wrong, err
}

// sentences are what is to hold of the names of mailboxes, and of certificates: each query
// gives a sentence for one that does not.
var sentences = []string{
	`SELECT name || '@' || domain || ' is a mailbox and an alias' FROM alias JOIN email USING (domain, name)`,
	`SELECT alias.name || '@' || domain || ' is not among the aliases of ' || box || '@' || domain FROM alias JOIN email USING (domain)
		WHERE email.name = box AND NOT instr(' ' || aliases || ' ', ' ' || alias.name || ' ')`,
	`SELECT each.value || '@' || domain || ' is an alias of ' || name || '@' || domain || ' and not found as one'
		FROM email, json_each('["' || replace(aliases, ' ', '","') || '"]') AS each WHERE aliases > ''
		AND NOT EXISTS (SELECT 1 FROM alias WHERE alias.domain = email.domain AND alias.name = each.value AND box = email.name)`,
	`SELECT name || ' is to show a certificate and has none' FROM domain WHERE secure = 1 AND NOT EXISTS (SELECT 1 FROM certificate WHERE certificate.name = domain.name)`,
	`SELECT 'a certificate of ' || name || ' is kept, and no such domain' FROM certificate WHERE name <> 'default' AND NOT EXISTS (SELECT 1 FROM domain WHERE domain.name = certificate.name)`,
	`SELECT 'something found of ' || domain || ' is kept, and no such domain' FROM finding WHERE domain <> 'default' AND NOT EXISTS (SELECT 1 FROM domain WHERE domain.name = finding.domain) GROUP BY domain`,
}

// counters are the numbers that rows keep of other rows: the query gives those that
// are wrong, with what is counted and what is there.
var counters = []struct{ what, query string }{
	{"mail domains of", `SELECT name, emaildomains, coalesce(n, 0) FROM owner
		LEFT JOIN (SELECT owner, count(*) AS n FROM domain GROUP BY owner) ON owner = name WHERE emaildomains <> coalesce(n, 0)`},
	{"mailboxes of", `SELECT name, emails, coalesce(n, 0) FROM owner
		LEFT JOIN (SELECT owner, sum(mailboxes) AS n FROM domain GROUP BY owner) ON owner = name WHERE emails <> coalesce(n, 0)`},
	{"megabytes for mailboxes of", `SELECT name, owner.quota, coalesce(n, 0) FROM owner
		LEFT JOIN (SELECT owner, sum(quota) AS n FROM domain GROUP BY owner) ON owner = name WHERE owner.quota <> coalesce(n, 0)`},
	{"mailboxes in", `SELECT name, mailboxes, coalesce(n, 0) FROM domain
		LEFT JOIN (SELECT domain, count(*) AS n FROM email GROUP BY domain) AS e ON e.domain = name WHERE mailboxes <> coalesce(n, 0)`},
	{"megabytes for mailboxes in", `SELECT name, quota, coalesce(n, 0) FROM domain
		LEFT JOIN (SELECT domain, sum(maxsize) AS n FROM email GROUP BY domain) AS e ON e.domain = name WHERE quota <> coalesce(n, 0)`},
	{"bytes used in", `SELECT name, used, coalesce(n, 0) FROM domain
		LEFT JOIN (SELECT domain, sum(used) AS n FROM email GROUP BY domain) AS e ON e.domain = name WHERE used <> coalesce(n, 0)`},
}

func (tx *Tx) recount(ctx context.Context, c struct{ what, query string }, wrong *[]string) error {
	return tx.rows(ctx, c.query, nil, func(r *sql.Rows) error {
		var name string
		var counted, there int64
		if err := r.Scan(&name, &counted, &there); err != nil {
			return err
		}
		*wrong = append(*wrong, fmt.Sprintf("%d %s %s are counted, %d are there", counted, c.what, name, there))
		return nil
	})
}
