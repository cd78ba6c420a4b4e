package module

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"testing"

	"maildomain/module/mail"
	"maildomain/module/store"
)

// peopled is a world with a domain a.example of user1's that has mailboxes with mail
// in them, and neighbours whose every byte is to stay.
func peopled(t *testing.T) *world {
	t.Helper()
	w := newWorld(t)
	add(t, w, as("user1"), "a.example", "a-example.org")
	change(t, w, as("user1"), "a.example", edit("ip", "192.0.2.2", "defaction", "redirect", "redirval", "me@b.example"))
	addBox(t, w, as("user1"), "info@a.example", "maxsize", "10", "aliases", "sales help", "forward", "x@y.example", "note", "ж")
	addBox(t, w, as("user1"), "empty@a.example")
	addBox(t, w, as("user1"), "off@a.example", "maxsize", "5")
	addBox(t, w, as("user1"), "info@a-example.org", "aliases", "sales")
	group(t, w.SuspendMailboxes, as("user1"), "off@a.example")
	deliver(t, w, "info@a.example", "first", "second", "third", "fourth")
	deliver(t, w, "off@a.example", "kept")
	deliver(t, w, "info@a-example.org", "a neighbour's")
	if err := w.Measure(t.Context()); err != nil {
		t.Fatal(err)
	}
	return w
}

// neighbours is m but for what is about a.example.
func neighbours(m map[string]string) map[string]string {
	rest := map[string]string{}
	for p, text := range m {
		if filepath.Base(p) != "domainips" && !slices.Contains(splitPath(p), "a.example") {
			rest[p] = text
		}
	}
	return rest
}

func splitPath(p string) (parts []string) {
	for p != "." {
		parts, p = append(parts, filepath.Base(p)), filepath.Dir(p)
	}
	return parts
}

func boxesOf(t *testing.T, w *world, domain string) (bs []map[string]string) {
	t.Helper()
	err := w.db.View(t.Context(), func(ctx context.Context, tx *store.Tx) error {
		all, err := tx.MailboxesOf(ctx, mail.StoredName(domain))
		for _, b := range all {
			v := b.Values()
			v["password"], v["used"], v["created"] = string(b.Password), strconv.FormatInt(b.Used, 10), b.Created.String()
			bs = append(bs, v)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return bs
}

// database is the database, byte for byte, with what waits in its log.
func (w *world) database(t *testing.T) string {
	t.Helper()
	var all string
	for _, f := range []string{"maildomain.db", "maildomain.db-wal"} {
		b, err := os.ReadFile(filepath.Join(w.dir, "var/lib/maildomain", f))
		if err != nil {
			t.Fatal(err)
		}
		all += string(b)
	}
	return all
}
