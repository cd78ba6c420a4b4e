package store

import (
	"context"
	"database/sql"
	"errors"
	"strings"
	"time"

	"maildomain/module/mail"
)

// ErrGivenUp says that an order is not wanted any more, or that another has taken its
// place.
var ErrGivenUp = errors.New("the order was given up")

// SetOrder writes down what became of an order, unless it was given up since it was
// read: then it is ErrGivenUp.
func (tx *Tx) SetOrder(ctx context.Context, was, o OrderRow) error {
	now, found, err := tx.Order(ctx, was.Domain)
	switch {
	case err != nil:
		return err
	case !found || !now.same(was):
		return ErrGivenUp
	}
	return tx.PutOrder(ctx, o)
}

// FinishOrder removes an order that is filled, unless another has taken its place.
func (tx *Tx) FinishOrder(ctx context.Context, o OrderRow) error {
	now, found, err := tx.Order(ctx, o.Domain)
	if err != nil || !found || !now.same(o) {
		return err
	}
	return tx.DropOrder(ctx, o.Domain)
}

// same says that o and p are one order, at two times.
func (o OrderRow) same(p OrderRow) bool {
	return o.Domain == p.Domain && mail.JoinNames(o.Names) == mail.JoinNames(p.Names) && millis(o.Since) == millis(p.Since)
}

// authorised says that the domain of a certificate has one of an authority.
const authorised = `(name = 'default' OR EXISTS (SELECT 1 FROM domain d WHERE d.name = certificate.name AND d.secure = 1 AND d.ssl_name = 'letsencrypt'))`

// unvouched says that the domain of a certificate wants one that nobody vouches for, whatever
// it has: another may have been put back.
const unvouched = `(name = 'default' AND source = 'selfsigned' OR EXISTS (SELECT 1 FROM domain d WHERE d.name = certificate.name AND d.secure = 1 AND d.ssl_name = 'selfsigned'))`

// DropOrders removes the orders of domains that are gone, or want none any more.
func (tx *Tx) DropOrders(ctx context.Context) error {
	_, err := tx.exec(ctx, `DELETE FROM ssl_order WHERE domain <> 'default'
		AND NOT EXISTS (SELECT 1 FROM domain d WHERE d.name = ssl_order.domain AND d.secure = 1 AND d.ssl_name = 'letsencrypt')`)
	return err
}

// RestOrders notes that no order is under way: the process has just begun.
func (tx *Tx) RestOrders(ctx context.Context) error {
	_, err := tx.exec(ctx, `UPDATE ssl_order SET step = '' WHERE step <> ''`)
	return err
}

// RetryOrders has the orders tried now whose last problem is of these kinds; those whose
// names the authority has counted a failure of wait until rest has passed since, but no
// longer than they did.
func (tx *Tx) RetryOrders(ctx context.Context, directory string, rest time.Duration, kinds ...string) error {
	args := []any{tx.Now.UnixMilli(), directory, rest.Milliseconds()}
	for _, k := range kinds {
		args = append(args, k)
	}
	_, err := tx.exec(ctx, `UPDATE ssl_order SET due = min(due, `+afterFailures+`) WHERE due > ?1 AND kind IN (`+strings.TrimPrefix(strings.Repeat(",?", len(kinds)), ",")+`)`, args...)
	return err
}

// RetryElsewhere has all orders tried now, of another authority than before; but those
// whose names that one has counted a failure of wait until rest has passed since.
func (tx *Tx) RetryElsewhere(ctx context.Context, directory string, rest time.Duration) error {
	_, err := tx.exec(ctx, `UPDATE ssl_order SET due = `+afterFailures+` WHERE step = ''`, tx.Now.UnixMilli(), directory, rest.Milliseconds())
	return err
}

// afterFailures is when an order may be tried again, of what the authority has counted.
const afterFailures = `max(?1, coalesce((SELECT max(e.at) + ?3 FROM acme_event e WHERE e.directory = ?2 AND e.what = 'failure' AND e.names = ssl_order.names), 0))`

// OrderBegun says that an order which was begun at an authority is under way, or is to
// go on by now.
func (tx *Tx) OrderBegun(ctx context.Context) (begun bool, err error) {
	_, err = tx.row(ctx, `SELECT EXISTS (SELECT 1 FROM ssl_order WHERE url <> '' AND due <= ?)`, []any{tx.Now.UnixMilli()}, &begun)
	return begun, err
}

// RenewalsDue are the certificates of an authority whose next one is due by now and
// not ordered yet, at most most.
func (tx *Tx) RenewalsDue(ctx context.Context, most int) ([]CertificateRow, error) {
	return tx.certificates(ctx, `source = 'letsencrypt' AND renew > 0 AND renew <= ? AND NOT EXISTS (SELECT 1 FROM ssl_order o WHERE o.domain = certificate.name)
		AND `+authorised+` ORDER BY renew, name LIMIT ?`, tx.Now.UnixMilli(), most)
}

// RenewalsToAsk are the certificates of an authority that is to be asked by now when
// they are to be renewed, at most most.
func (tx *Tx) RenewalsToAsk(ctx context.Context, most int) ([]CertificateRow, error) {
	return tx.certificates(ctx, `source = 'letsencrypt' AND ask > 0 AND ask <= ? AND renew > ?
		AND `+authorised+` ORDER BY ask, name LIMIT ?`, tx.Now.UnixMilli(), tx.Now.UnixMilli(), most)
}

// SelfSignedEnding are the certificates that are served, end before then, and that one
// which nobody vouches for is to follow, at most most; but none that is to be left alone
// for now.
func (tx *Tx) SelfSignedEnding(ctx context.Context, before time.Time, most int) ([]CertificateRow, error) {
	return tx.certificates(ctx, `expire < ? AND renew <= ? AND `+unvouched+` ORDER BY expire, name LIMIT ?`, before.UnixMilli(), tx.Now.UnixMilli(), most)
}

func (tx *Tx) certificates(ctx context.Context, where string, args ...any) (cs []CertificateRow, err error) {
	err = tx.rows(ctx, `SELECT `+certificateColumns+` FROM certificate WHERE `+where, args, func(r *sql.Rows) error {
		c, err := scanCertificate(r.Scan)
		cs = append(cs, c)
		return err
	})
	return cs, err
}

// SetRenewal notes when a certificate is to be renewed, unless it has become another; of
// one that none of an authority is to follow, before when it is not to be.
func (tx *Tx) SetRenewal(ctx context.Context, c CertificateRow, renew, ask time.Time) error {
	_, err := tx.exec(ctx, `UPDATE certificate SET renew = ?, ask = ? WHERE name = ? AND chain = ?`, millis(renew), millis(ask), c.Name, string(c.Chain))
	return err
}

// Due is when the module has something to do next that waits for nothing but time;
// zero: nothing. Keys that sign are replaced after rotate, where that is not zero;
// certificates that nobody vouches for are made when no more than last is left of what is
// served.
func (tx *Tx) Due(ctx context.Context, rotate, last time.Duration) (time.Time, error) {
	var at sql.NullInt64
	_, err := tx.row(ctx, `SELECT min(at) FROM (
		SELECT min(due) AS at FROM ssl_order
		UNION ALL SELECT min(CASE WHEN ask > 0 AND ask < renew THEN ask ELSE renew END) FROM certificate WHERE source = 'letsencrypt' AND renew > 0
			AND NOT EXISTS (SELECT 1 FROM ssl_order o WHERE o.domain = certificate.name)
			AND `+authorised+`
		UNION ALL SELECT min(max(expire - ?2, renew)) FROM certificate WHERE `+unvouched+`
		UNION ALL SELECT min(due) FROM record WHERE state = 'pending'
		UNION ALL SELECT min(due) FROM record WHERE `+leftover+`
		UNION ALL SELECT min(max(s.due, r.due)) FROM former_record r JOIN former_server s ON s.id = r.server WHERE r.state = 'pending'
		UNION ALL SELECT min(due) FROM dkim_key WHERE state <> 'signing'
		UNION ALL SELECT min(max(due, since + ?1)) FROM dkim_key WHERE state = 'signing' AND ?1 > 0
		UNION ALL SELECT min(until) FROM deleted WHERE state = 'kept')`,
		[]any{rotate.Milliseconds(), last.Milliseconds()}, &at)
	if err != nil || !at.Valid {
		return time.Time{}, err
	}
	return time.UnixMilli(at.Int64).UTC(), nil
}
