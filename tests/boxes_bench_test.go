package tests

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"

	"maildomain/module/files"
	"maildomain/module/mail"
	"maildomain/module/store"
	"maildomain/tests/lab"
	"maildomain/tests/world"
)

// populated is a world with so many domains of ten mailboxes each, of which one has a
// password that is known.
func populated(b *testing.B, domains int) *world.World {
	b.Helper()
	data := b.TempDir()
	state := filepath.Join(data, "root", files.Debian.State)
	if err := os.MkdirAll(state, 0o700); err != nil {
		b.Fatal(err)
	}
	db, err := store.Open(b.Context(), filepath.Join(state, "maildomain.db"), time.Now)
	if err != nil {
		b.Fatal(err)
	}
	const atOnce = 500
	for from := 0; from < domains; from += atOnce {
		err := db.Update(b.Context(), func(ctx context.Context, tx *store.Tx) error {
			for i := from; i < min(from+atOnce, domains); i++ {
				n, err := mail.ParseName(fmt.Sprintf("d%05d.example", i))
				if err != nil {
					return err
				}
				d := mail.NewDomain(n, "user1")
				if err := tx.InsertDomain(ctx, &d); err != nil {
					return err
				}
				for j := range 10 {
					box := mail.Mailbox{Domain: n, Name: mail.StoredLocalPart("b" + strconv.Itoa(j)), Active: true, Password: "{PLAIN}" + boxPassword, PasswdAt: tx.Now}
					if err := tx.InsertMailbox(ctx, &box); err != nil {
						return err
					}
				}
			}
			return nil
		})
		if err != nil {
			b.Fatal(err)
		}
	}
	if err := db.Close(); err != nil {
		b.Fatal(err)
	}
	bin := filepath.Join(b.TempDir(), "bin")
	if err := world.Build(bin); err != nil {
		b.Fatal(err)
	}
	if out, err := exec.Command(filepath.Join(bin, "maildomain"), "reconcile", "--root", filepath.Join(data, "root")).CombinedOutput(); err != nil {
		b.Fatalf("%v\n%s", err, out[max(0, len(out)-2000):])
	}
	return world.Start(b, world.Options{Data: data, Bin: bin})
}

// What a mailbox costs does not grow with the number of others: the same at 10 domains
// and at 10,000.
func BenchmarkMailboxAmongMany(b *testing.B) {
	lab.NeedDovecot(b)
	for _, domains := range []int{10, 10_000} {
		w := populated(b, domains)
		elid := fmt.Sprintf("b5@d%05d.example", domains/2)
		b.Run(fmt.Sprintf("password/domains=%d", domains), func(b *testing.B) {
			i := 0
			for b.Loop() {
				i++
				p := fmt.Sprintf("geheim%06d", i)
				w.Must(b, "user1", "email.edit", "elid", elid, "passwd", p, "confirm", p, "sok", "ok")
			}
		})
		x := lab.Start(b, w.Root, lab.Options{Dovecot: true})
		login := fmt.Sprintf("b6@d%05d.example", domains/2)
		b.Run(fmt.Sprintf("login/domains=%d", domains), func(b *testing.B) {
			for b.Loop() {
				c, err := x.IMAP(b.Context(), login, boxPassword)
				if err != nil {
					b.Fatal(err)
				}
				c.Close()
			}
		})
	}
}

// Deleting a domain with 200 mailboxes and 50,000 letters answers at once: its mail is
// moved as one.
func BenchmarkDeletionOfManyLetters(b *testing.B) {
	lab.NeedDovecot(b)
	bin := filepath.Join(b.TempDir(), "bin")
	if err := world.Build(bin); err != nil {
		b.Fatal(err)
	}
	w := world.Start(b, world.Options{Bin: bin})
	w.Must(b, "user1", "emaildomain.edit", "name", "big.example", "sok", "ok")
	turns := make(chan struct{}, 8)
	var adding sync.WaitGroup
	for i := range 200 {
		turns <- struct{}{}
		adding.Go(func() {
			defer func() { <-turns }()
			w.Must(b, "user1", "email.edit", "name", fmt.Sprintf("b%d", i), "domainname", "big.example", "passwd", boxPassword, "confirm", boxPassword, "sok", "ok")
		})
	}
	adding.Wait()
	full(b, w.Root, "big.example", 200, 250)
	id := 0
	for b.Loop() {
		w.Must(b, "user1", "emaildomain.delete", "elid", "big.example")
		b.StopTimer()
		id++
		w.Must(b, "user1", "emaildomain.deleted.restore", "elid", strconv.Itoa(id))
		b.StartTimer()
	}
}
