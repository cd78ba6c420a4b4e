package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"time"

	"maildomain/module/mail"
)

// A FormerServer got the records of mail domains before somebody else did, and has some
// of ours still.
type FormerServer struct {
	ID        int64
	Mode      mail.DNSMode // core or server
	Server    string       // as the settings; empty for the panel
	Key       string       // the rest as the settings when it was left
	Algorithm string
	Secret    string
	Since     time.Time // when it was left
	Tries     int       // in a row that it did not answer
	Due       time.Time // it is asked next
}

// A FormerState says what is to become of a value at a former server.
type FormerState string

// The states.
const (
	FormerPending FormerState = "pending"  // to be withdrawn
	FormerLeft    FormerState = "left"     // stands on, unless somebody asks
	FormerRefused FormerState = "refused"  // the server does not let it be withdrawn
	FormerGivenUp FormerState = "given_up" // it could not be withdrawn for too long
)

// A FormerRow is a value of ours at a former server.
type FormerRow struct {
	Server FormerServer // its mode and its name
	Domain mail.Name
	Name   string
	Type   mail.RecordType
	Value  string
	State  FormerState
	Text   string // as in RecordRow
	Args   map[string]string
	Reason string
}

// LeaveServer notes that all that may stand of ours stands at a server that is the one
// no longer: to be withdrawn, or left.
func (tx *Tx) LeaveServer(ctx context.Context, s FormerServer, state FormerState) error {
	if _, err := tx.exec(ctx, `INSERT INTO former_server (mode, server, key, algorithm, secret, since, tries, due) VALUES (?, ?, ?, ?, ?, ?, 0, ?6)
		ON CONFLICT (mode, server) DO UPDATE SET key = excluded.key, algorithm = excluded.algorithm, secret = excluded.secret, since = excluded.since, tries = 0, due = excluded.due`,
		string(s.Mode), s.Server, s.Key, s.Algorithm, s.Secret, tx.Now.UnixMilli()); err != nil {
		return err
	}
	_, err := tx.exec(ctx, `INSERT OR REPLACE INTO former_record (server, domain, name, type, value, state, reason, args, detail, due)
		SELECT s.id, r.domain, r.name, r.type, r.value, ?, '', '{}', '', ? FROM record r JOIN former_server s ON s.mode = ? AND s.server = ?
		WHERE r.offered = 1`, string(state), tx.Now.UnixMilli(), string(s.Mode), s.Server)
	if err != nil {
		return err
	}
	return tx.forgetServers(ctx)
}

// ReturnTo notes that a server is the one again: what was to be withdrawn from it and is
// not wanted is taken away like anything else. What was left there for a domain is its
// own again, until it is said what the domain is to have.
func (tx *Tx) ReturnTo(ctx context.Context, mode mail.DNSMode, server string) error {
	const there = `server IN (SELECT id FROM former_server WHERE mode = ? AND server = ?)`
	if _, err := tx.exec(ctx, `INSERT INTO record (domain, name, type, value, ttl, why, wanted, state, reason, tries, due, offered)
		SELECT domain, name, type, value, ?, '', state = 'left', 'pending', '', 0, ?, 1 FROM former_record
		WHERE (state <> 'left' OR domain IN (SELECT name FROM domain)) AND `+there+` ON CONFLICT DO UPDATE SET offered = 1`,
		mail.DefaultTTL, tx.Now.UnixMilli(), string(mode), server); err != nil {
		return err
	}
	if _, err := tx.exec(ctx, `DELETE FROM former_record WHERE `+there, string(mode), server); err != nil {
		return err
	}
	return tx.forgetServers(ctx)
}

// forgetServers drops those that have nothing of ours, with their keys.
func (tx *Tx) forgetServers(ctx context.Context) error {
	_, err := tx.exec(ctx, `DELETE FROM former_server WHERE NOT EXISTS (SELECT 1 FROM former_record WHERE former_record.server = former_server.id)`)
	return err
}

// WithdrawLeft has everything withdrawn that was left standing, and says whether there
// was any.
func (tx *Tx) WithdrawLeft(ctx context.Context) (some bool, err error) {
	if _, err := tx.exec(ctx, `UPDATE former_server SET due = ?1, since = ?1, tries = 0 WHERE EXISTS
		(SELECT 1 FROM former_record r WHERE r.server = former_server.id AND r.state = 'left')`, tx.Now.UnixMilli()); err != nil {
		return false, err
	}
	n, err := tx.exec(ctx, `UPDATE former_record SET state = 'pending', due = ? WHERE state = 'left'`, tx.Now.UnixMilli())
	return n > 0, err
}

// RetryFormer has what could not be withdrawn of a domain tried once more.
func (tx *Tx) RetryFormer(ctx context.Context, n mail.Name) error {
	if _, err := tx.exec(ctx, `UPDATE former_server SET due = ?1, tries = 0 WHERE EXISTS
		(SELECT 1 FROM former_record r WHERE r.server = former_server.id AND r.domain = ?2 AND r.state <> 'left')`, tx.Now.UnixMilli(), n.String()); err != nil {
		return err
	}
	_, err := tx.exec(ctx, `UPDATE former_record SET state = 'pending', due = ? WHERE domain = ? AND state <> 'left'`, tx.Now.UnixMilli(), n.String())
	return err
}

// FormerDue are the former servers that something is to be withdrawn from by now.
func (tx *Tx) FormerDue(ctx context.Context) ([]FormerServer, error) {
	return tx.formerServers(ctx, `WHERE due <= ?1 AND EXISTS (SELECT 1 FROM former_record r WHERE r.server = s.id AND r.state = 'pending' AND r.due <= ?1) ORDER BY due, id`,
		tx.Now.UnixMilli())
}

// FormerServers are all that have something of ours.
func (tx *Tx) FormerServers(ctx context.Context) ([]FormerServer, error) {
	return tx.formerServers(ctx, `ORDER BY id`)
}

func (tx *Tx) formerServers(ctx context.Context, which string, args ...any) (all []FormerServer, err error) {
	err = tx.rows(ctx, `SELECT id, mode, server, key, algorithm, secret, since, tries, due FROM former_server s `+which, args, func(r *sql.Rows) error {
		var s FormerServer
		var since, due int64
		if err := r.Scan(&s.ID, &s.Mode, &s.Server, &s.Key, &s.Algorithm, &s.Secret, &since, &s.Tries, &due); err != nil {
			return err
		}
		s.Since, s.Due = time.UnixMilli(since).UTC(), time.UnixMilli(due).UTC()
		all = append(all, s)
		return nil
	})
	return all, err
}

// FormerDomains are domains that something is to be withdrawn of from a server by now,
// at most most.
func (tx *Tx) FormerDomains(ctx context.Context, server int64, most int) ([]mail.Name, error) {
	return tx.names(ctx, `SELECT DISTINCT domain FROM former_record WHERE server = ? AND state = 'pending' AND due <= ? LIMIT ?`, server, tx.Now.UnixMilli(), most)
}

// FormerOf are the values of a domain at former servers, by server, name, type and value.
func (tx *Tx) FormerOf(ctx context.Context, n mail.Name) (rows []FormerRow, err error) {
	err = tx.rows(ctx, `SELECT s.id, s.mode, s.server, r.name, r.type, r.value, r.state, r.reason, r.args, r.detail
		FROM former_record r JOIN former_server s ON s.id = r.server WHERE r.domain = ? ORDER BY r.server, r.name, r.type, r.value`, []any{n.String()},
		func(r *sql.Rows) error {
			f := FormerRow{Domain: n}
			var args string
			if err := r.Scan(&f.Server.ID, &f.Server.Mode, &f.Server.Server, &f.Name, &f.Type, &f.Value, &f.State, &f.Text, &args, &f.Reason); err != nil {
				return err
			}
			var err error
			if f.Args, err = argsOf(args); err == nil {
				rows = append(rows, f)
			}
			return err
		})
	return rows, err
}

// SetFormer notes what became of a value at a former server, not to be looked at before
// due.
func (tx *Tx) SetFormer(ctx context.Context, f FormerRow, due time.Time) error {
	args, err := argsText(f.Args)
	if err != nil {
		return err
	}
	_, err = tx.exec(ctx, `UPDATE former_record SET state = ?, reason = ?, args = ?, detail = ?, due = ? WHERE server = ? AND domain = ? AND name = ? AND type = ? AND value = ?`,
		string(f.State), f.Text, args, f.Reason, due.UnixMilli(), f.Server.ID, f.Domain.String(), f.Name, string(f.Type), f.Value)
	return err
}

// DropFormer notes that a value stands there no longer.
func (tx *Tx) DropFormer(ctx context.Context, f FormerRow) error {
	if _, err := tx.exec(ctx, `DELETE FROM former_record WHERE server = ? AND domain = ? AND name = ? AND type = ? AND value = ?`,
		f.Server.ID, f.Domain.String(), f.Name, string(f.Type), f.Value); err != nil {
		return err
	}
	return tx.forgetServers(ctx)
}

// FormerSilent notes that a former server did not answer, and when it is asked next.
func (tx *Tx) FormerSilent(ctx context.Context, server int64, tries int, due time.Time) error {
	_, err := tx.exec(ctx, `UPDATE former_server SET tries = ?, due = ? WHERE id = ?`, tries, due.UnixMilli(), server)
	return err
}

// TakeAway notes that a record that is about to stand is to be taken away at due.
func (tx *Tx) TakeAway(ctx context.Context, n mail.Name, r mail.Record, due time.Time) error {
	for _, v := range r.Values {
		if _, err := tx.exec(ctx, `INSERT INTO record (domain, name, type, value, ttl, why, wanted, state, reason, tries, due) VALUES (?, ?, ?, ?, ?, '', 0, 'pending', '', 0, ?)`,
			n.String(), r.Name, string(r.Type), v, r.TTL, due.UnixMilli()); err != nil {
			return err
		}
	}
	return nil
}

// GiveUpFormer gives up what is still to be withdrawn from a server, and says how much.
func (tx *Tx) GiveUpFormer(ctx context.Context, server int64) (int64, error) {
	return tx.exec(ctx, `UPDATE former_record SET state = 'given_up' WHERE server = ? AND state = 'pending'`, server)
}

func argsOf(text string) (args map[string]string, err error) {
	if text == "" || text == "{}" {
		return nil, nil
	}
	err = json.Unmarshal([]byte(text), &args)
	return args, err
}

func argsText(args map[string]string) (string, error) {
	if len(args) == 0 {
		return "{}", nil
	}
	b, err := json.Marshal(args)
	return string(b), err
}
