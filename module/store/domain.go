package store

import (
	"context"
	"database/sql"
	"net/netip"
	"strings"
	"time"

	"maildomain/module/mail"
)

const domainColumns = `name, owner, active, ip, defaction, redirval, greylist, spamassassin, avcheck,
	dkim, dkim_selector, dkim_keylen, dmarc, secure, secure_alias, ssl_name, email, sendany, mailrate, dkim_ed25519, ssl_challenge, created, changed`

// countedColumns are kept by triggers, and by what finds them out in the background.
const countedColumns = `, mailboxes, quota, used, ssl_expire, note`

// scanDomain reads a row of domainColumns and countedColumns. What it reads was parsed before it was
// written, so nothing is parsed again but what has a form of its own here.
func scanDomain(scan func(...any) error) (mail.Domain, error) {
	var d mail.Domain
	var name, ip, redirval, selector, alias, email string
	var created, changed, expire int64
	if err := scan(&name, &d.Owner, &d.Active, &ip, &d.Defaction, &redirval, &d.Greylist, &d.Spamassassin, &d.Avcheck,
		&d.DKIM, &selector, &d.DKIMKeylen, &d.DMARC, &d.Secure, &alias, &d.SSLName, &email, &d.SendAny, &d.MailRate, &d.DKIMEd25519, &d.SSLChallenge, &created, &changed,
		&d.Mailboxes, &d.Quota, &d.Used, &expire, &d.Note); err != nil {
		return d, err
	}
	d.Name = mail.StoredName(name)
	d.DKIMSelector = mail.StoredSelector(selector)
	d.Created, d.Changed = time.UnixMilli(created).UTC(), time.UnixMilli(changed).UTC()
	if expire > 0 {
		d.SSLExpire = time.UnixMilli(expire).UTC()
	}
	var err error
	if ip != "" {
		if d.IP, err = netip.ParseAddr(ip); err != nil {
			return d, err
		}
	}
	if d.Redirval, err = mail.ParseTarget(d.Defaction, redirval); err != nil {
		return d, err
	}
	for a := range strings.FieldsSeq(alias) {
		d.SecureAlias = append(d.SecureAlias, mail.StoredName(a))
	}
	d.Email, err = mail.ParseAddress(email)
	return d, err
}

// Domain is the mail domain of that name; false where there is none.
func (tx *Tx) Domain(ctx context.Context, n mail.Name) (d mail.Domain, found bool, err error) {
	err = tx.rows(ctx, `SELECT `+domainColumns+countedColumns+` FROM domain WHERE name = ?`, []any{n.String()}, func(r *sql.Rows) error {
		found = true
		d, err = scanDomain(r.Scan)
		return err
	})
	return d, found, err
}

// Domains calls each for every mail domain, in the order of their names.
func (tx *Tx) Domains(ctx context.Context, each func(mail.Domain) error) error {
	return tx.rows(ctx, `SELECT `+domainColumns+countedColumns+` FROM domain ORDER BY name`, nil, func(r *sql.Rows) error {
		d, err := scanDomain(r.Scan)
		if err != nil {
			return err
		}
		return each(d)
	})
}

// InsertDomain adds a mail domain, made now.
func (tx *Tx) InsertDomain(ctx context.Context, d *mail.Domain) error {
	d.Created, d.Changed = tx.Now, tx.Now
	_, err := tx.exec(ctx, `INSERT INTO domain (name_idn, reversed, `+domainColumns+`)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
		append([]any{d.Name.Unicode(), d.Name.Reversed(), d.Name.String()}, domainValues(d)...)...)
	return err
}

// UpdateDomain writes a mail domain that stands already, changed now.
func (tx *Tx) UpdateDomain(ctx context.Context, d *mail.Domain) error {
	d.Changed = tx.Now
	_, err := tx.exec(ctx, `UPDATE domain SET owner = ?, active = ?, ip = ?, defaction = ?, redirval = ?, greylist = ?,
		spamassassin = ?, avcheck = ?, dkim = ?, dkim_selector = ?, dkim_keylen = ?, dmarc = ?, secure = ?, secure_alias = ?,
		ssl_name = ?, email = ?, sendany = ?, mailrate = ?, dkim_ed25519 = ?, ssl_challenge = ?, created = ?, changed = ? WHERE name = ?`,
		append(domainValues(d), d.Name.String())...)
	return err
}

// domainValues are the values of domainColumns after the name.
func domainValues(d *mail.Domain) []any {
	return []any{
		d.Owner, d.Active, d.OutgoingIP(), string(d.Defaction), d.Redirval.String(), d.Greylist, d.Spamassassin, d.Avcheck,
		d.DKIM, d.DKIMSelector.String(), d.DKIMKeylen, d.DMARC, d.Secure, mail.JoinNames(d.SecureAlias), string(d.SSLName),
		d.Email.String(), d.SendAny, d.MailRate, d.DKIMEd25519, string(d.SSLChallenge), d.Created.UnixMilli(), d.Changed.UnixMilli(),
	}
}

// DeleteDomain removes a mail domain with all rows that are about it alone.
func (tx *Tx) DeleteDomain(ctx context.Context, n mail.Name) error {
	if err := tx.pastSelectors(ctx, n, ""); err != nil {
		return err
	}
	for _, of := range []string{
		`DELETE FROM alias WHERE domain = ?`, `DELETE FROM email WHERE domain = ?`, `DELETE FROM dkim_key WHERE domain = ?`, `DELETE FROM finding WHERE domain = ?`,
		`DELETE FROM listed WHERE domain = ?`, `DELETE FROM certificate WHERE name = ?`, `DELETE FROM ssl_order WHERE domain = ?`,
	} {
		if _, err := tx.exec(ctx, of, n.String()); err != nil {
			return err
		}
	}
	_, err := tx.exec(ctx, `DELETE FROM domain WHERE name = ?`, n.String())
	return err
}

// OtherOwnerNear says that a name above n, or below it, is a mail domain of
// somebody else than owner.
func (tx *Tx) OtherOwnerNear(ctx context.Context, n mail.Name, owner string) (bool, error) {
	var one int
	for _, p := range n.Parents() {
		found, err := tx.row(ctx, `SELECT 1 FROM domain WHERE name = ? AND owner <> ?`, []any{p.String(), owner}, &one)
		if found || err != nil {
			return found, err
		}
	}
	// Everything below com.example. lies between it and com.example/, the next byte after the dot.
	above := n.Reversed()
	return tx.row(ctx, `SELECT 1 FROM domain WHERE reversed > ? AND reversed < ? AND owner <> ? LIMIT 1`,
		[]any{above, above[:len(above)-1] + "/", owner}, &one)
}

// ForwardsTo is the domain that mail for n goes on to by its default action;
// the zero Name where it goes nowhere, or n is no mail domain.
func (tx *Tx) ForwardsTo(ctx context.Context, n mail.Name) (mail.Name, error) {
	var to string
	if _, err := tx.row(ctx, `SELECT redirval FROM domain WHERE name = ? AND defaction = 'redirdomain'`,
		[]any{n.String()}, &to); err != nil {
		return mail.Name{}, err
	}
	return mail.StoredName(to), nil
}

// A Count is what an owner has of what plans limit.
type Count struct {
	Emaildomains, Emails int64
	Quota                int64 // MB that all mailboxes may hold together
}

// CountOf is what owner has.
func (tx *Tx) CountOf(ctx context.Context, owner string) (n Count, err error) {
	_, err = tx.row(ctx, `SELECT emaildomains, emails, quota FROM owner WHERE name = ?`, []any{owner}, &n.Emaildomains, &n.Emails, &n.Quota)
	return n, err
}

// SourceIPs are the outgoing addresses of all domains that have their own, by name.
func (tx *Tx) SourceIPs(ctx context.Context) (ips []mail.SourceIP, err error) {
	err = tx.rows(ctx, `SELECT name, ip FROM domain WHERE ip > '' ORDER BY name`, nil, func(r *sql.Rows) error {
		var name, ip string
		if err := r.Scan(&name, &ip); err != nil {
			return err
		}
		a, err := netip.ParseAddr(ip)
		ips = append(ips, mail.SourceIP{Name: mail.StoredName(name), IP: a})
		return err
	})
	return ips, err
}
