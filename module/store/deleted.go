package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"time"

	"maildomain/module/mail"
)

// A MailState says where the mail of something deleted is.
type MailState string

// The states, in the order in which they follow each other.
const (
	MailMoving    MailState = "moving"    // on its way to the trash
	MailKept      MailState = "kept"      // in the trash
	MailRestoring MailState = "restoring" // on its way back
)

// A Deleted is a mail domain or a mailbox that was deleted and can be brought back
// until its time is over. What it was is in Domain, or in the one of Mailboxes.
type Deleted struct {
	ID          int64 // never given twice; names the mail in the trash
	At, Until   time.Time
	User        string            // who deleted it
	Domain      map[string]string // its Values; nil: a mailbox alone was deleted
	Mailboxes   []mail.Mailbox
	Keys        []mail.SigningKey
	Listed      []mail.Listed   // of its white and black list
	Certificate *CertificateRow // nil: it had none
	State       MailState

	Object string // the domain, or box@domain
	Name   mail.Name
	Owner  string
	Count  int64 // mailboxes; given by InsertDeleted, as is what they used
	Used   int64 // bytes
}

// Kinds of what was deleted.
const (
	kindDomain  = "domain"
	kindMailbox = "mailbox"
)

// content is what stands in the column of that name.
type content struct {
	Domain    map[string]string `json:"domain,omitempty"`
	Mailboxes []keptMailbox     `json:"mailboxes,omitempty"`
	Keys      []keptKey         `json:"keys,omitempty"`
	Listed    []keptListed      `json:"listed,omitempty"`

	Certificate *keptCertificate `json:"certificate,omitempty"`
}

// A keptCertificate is a certificate with its key as it was.
type keptCertificate struct {
	Chain  string       `json:"chain"`
	Key    string       `json:"key"`
	Expire time.Time    `json:"expire"`
	Source mail.SSLName `json:"source"`
	Renew  time.Time    `json:"renew,omitzero"`
	Ask    time.Time    `json:"ask,omitzero"`
}

// A keptListed is an entry of a list as it was.
type keptListed struct {
	List    mail.List `json:"list"`
	Sender  string    `json:"sender"`
	Note    string    `json:"note,omitempty"`
	Created time.Time `json:"created"`
}

// A keptMailbox is a mailbox as it was, in its own words: whoever brings it back may
// be a later version.
type keptMailbox struct {
	Name         string    `json:"name"`
	Active       bool      `json:"active"`
	Password     string    `json:"password"`
	PasswdAt     time.Time `json:"passwd_at"`
	MaxSize      int64     `json:"maxsize"`
	Aliases      []string  `json:"aliases,omitempty"`
	Forward      []string  `json:"forward,omitempty"`
	DontSave     bool      `json:"dontsave,omitempty"`
	Greylist     bool      `json:"greylist,omitempty"`
	Spamassassin bool      `json:"spamassassin,omitempty"`
	Note         string    `json:"note,omitempty"`
	Used         int64     `json:"used"`
	Created      time.Time `json:"created"`
}

// A keptKey is a DKIM key as it was.
type keptKey struct {
	Selector string        `json:"selector"`
	Brought  string        `json:"brought,omitempty"`
	Private  string        `json:"private"`
	State    mail.KeyState `json:"state"`
	Since    time.Time     `json:"since"`
}

func keepMailbox(b mail.Mailbox) keptMailbox {
	k := keptMailbox{
		Name: b.Name.String(), Active: b.Active, Password: string(b.Password), PasswdAt: b.PasswdAt, MaxSize: b.MaxSize,
		DontSave: b.DontSave, Greylist: b.Greylist, Spamassassin: b.Spamassassin, Note: b.Note, Used: b.Used, Created: b.Created,
	}
	for _, a := range b.Aliases {
		k.Aliases = append(k.Aliases, a.String())
	}
	for _, f := range b.Forward {
		k.Forward = append(k.Forward, f.String())
	}
	return k
}

func (k keptMailbox) mailbox(n mail.Name) mail.Mailbox {
	b := mail.Mailbox{
		Domain: n, Name: mail.StoredLocalPart(k.Name), Active: k.Active, Password: mail.PasswordHash(k.Password), PasswdAt: k.PasswdAt,
		MaxSize: k.MaxSize, DontSave: k.DontSave, Greylist: k.Greylist, Spamassassin: k.Spamassassin, Note: k.Note, Used: k.Used, Created: k.Created,
	}
	for _, a := range k.Aliases {
		b.Aliases = append(b.Aliases, mail.StoredLocalPart(a))
	}
	for _, f := range k.Forward {
		b.Forward = append(b.Forward, mail.StoredAddress(f))
	}
	return b
}

// InsertDeleted keeps what is about to be deleted, and returns the number that names
// its mail in the trash.
func (tx *Tx) InsertDeleted(ctx context.Context, d Deleted) (int64, error) {
	kind := kindMailbox
	c := content{Domain: d.Domain}
	if d.Domain != nil {
		kind = kindDomain
	}
	for _, b := range d.Mailboxes {
		c.Mailboxes = append(c.Mailboxes, keepMailbox(b))
		d.Used += b.Used
	}
	for _, k := range d.Keys {
		private, err := k.Key.PEM()
		if err != nil {
			return 0, fmt.Errorf("write down %s: %w", d.Object, err)
		}
		c.Keys = append(c.Keys, keptKey{k.Selector.String(), k.Brought.String(), string(private), k.State, k.Since})
	}
	for _, l := range d.Listed {
		c.Listed = append(c.Listed, keptListed{l.List, l.Sender.String(), l.Note, l.Created})
	}
	if r := d.Certificate; r != nil {
		c.Certificate = &keptCertificate{string(r.Chain), string(r.Key), r.Expire, r.Source, r.Renew, r.Ask}
	}
	d.Count = int64(len(d.Mailboxes))
	text, err := json.Marshal(c)
	if err != nil {
		return 0, fmt.Errorf("write down %s: %w", d.Object, err)
	}
	var id int64
	tx.wrote = true
	_, err = tx.row(ctx, `INSERT INTO deleted (at, until, user, kind, object, domain, owner, mailboxes, used, content, state)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) RETURNING id`, []any{
		tx.Now.UnixMilli(), d.Until.UnixMilli(), d.User, kind, d.Object, d.Name.String(), d.Owner, d.Count, d.Used, string(text), string(MailMoving),
	}, &id)
	return id, err
}

const deletedColumns = `id, at, until, user, object, domain, owner, mailboxes, used, state`

func scanDeleted(scan func(...any) error, more ...any) (d Deleted, err error) {
	var at, until int64
	var name string
	err = scan(append([]any{&d.ID, &at, &until, &d.User, &d.Object, &name, &d.Owner, &d.Count, &d.Used, &d.State}, more...)...)
	d.At, d.Until, d.Name = time.UnixMilli(at).UTC(), time.UnixMilli(until).UTC(), mail.StoredName(name)
	return d, err
}

// Deleted is what was deleted under that number, with all that it was; false where
// it is gone.
func (tx *Tx) Deleted(ctx context.Context, id int64) (d Deleted, found bool, err error) {
	err = tx.rows(ctx, `SELECT `+deletedColumns+`, content FROM deleted WHERE id = ?`, []any{id}, func(r *sql.Rows) error {
		var text string
		if d, err = scanDeleted(r.Scan, &text); err != nil {
			return err
		}
		found = true
		var c content
		if err := json.Unmarshal([]byte(text), &c); err != nil {
			return fmt.Errorf("read what %s was: %w", d.Object, err)
		}
		d.Domain = c.Domain
		for _, k := range c.Mailboxes {
			d.Mailboxes = append(d.Mailboxes, k.mailbox(d.Name))
		}
		for _, l := range c.Listed {
			d.Listed = append(d.Listed, mail.Listed{Domain: d.Name, List: l.List, Sender: mail.StoredSender(l.Sender), Note: l.Note, Created: l.Created})
		}
		if k := c.Certificate; k != nil {
			d.Certificate = &CertificateRow{
				Certificate: mail.Certificate{Name: d.Name.String(), Chain: []byte(k.Chain), Key: []byte(k.Key), Expire: k.Expire},
				Source:      k.Source, Renew: k.Renew, Ask: k.Ask,
			}
		}
		for _, k := range c.Keys {
			key, err := mail.ParseDKIMKey([]byte(k.Private))
			if err != nil {
				return fmt.Errorf("read what %s was: key %s: %w", d.Object, k.Selector, err)
			}
			d.Keys = append(d.Keys, mail.SigningKey{Selector: mail.StoredSelector(k.Selector), Brought: mail.StoredSelector(k.Brought), Key: key, State: k.State, Since: k.Since, Due: tx.Now})
		}
		return nil
	})
	return d, found, err
}

// DomainDeletedAt is the number of the mail domain that was deleted at that instant and
// can be brought back; 0 where there is none.
func (tx *Tx) DomainDeletedAt(ctx context.Context, n mail.Name, at time.Time) (id int64, err error) {
	_, err = tx.row(ctx, `SELECT id FROM deleted WHERE domain = ? AND kind = ? AND at = ? AND state <> 'restoring' AND until > ?`,
		[]any{n.String(), kindDomain, at.UnixMilli(), tx.Now.UnixMilli()}, &id)
	return id, err
}

// deletedSorts are the columns that the list of what was deleted can be sorted by.
var deletedSorts = map[string]string{"id": "id", "object": "object", "owner": "owner", "at": "at", "until": "until", "used": "used", "mailboxes": "mailboxes"}

// ListDeleted is a page of what was deleted in a scope and can be brought back, and
// how much there is in all pages together.
func (tx *Tx) ListDeleted(ctx context.Context, q mail.Query) (ds []Deleted, total int64, err error) {
	column, ok := deletedSorts[q.Sort]
	if !ok {
		return nil, 0, fmt.Errorf("sort by %q: no such column", q.Sort)
	}
	w := where{}
	w.add(`state <> 'restoring' AND until > ?`, tx.Now.UnixMilli())
	if !q.Scope.All {
		w.owners(q.Scope.Owners)
	}
	if q.Name != "" {
		w.add(`instr(object, ?)`, q.Name)
	}
	if _, err := tx.row(ctx, `SELECT count(*) FROM deleted WHERE `+w.String(), w.args, &total); err != nil || total <= int64(q.Offset) {
		return nil, total, err
	}
	direction := ` ASC`
	if q.Desc {
		direction = ` DESC`
	}
	err = tx.rows(ctx, `SELECT `+deletedColumns+` FROM deleted WHERE `+w.String()+` ORDER BY `+column+direction+`, id`+direction+` LIMIT ? OFFSET ?`,
		append(w.args, q.Limit, q.Offset), func(r *sql.Rows) error {
			d, err := scanDeleted(r.Scan)
			ds = append(ds, d)
			return err
		})
	return ds, total, err
}
