package module

import (
	"context"
	"fmt"
	"sync"
	"testing"

	"maildomain/module/mail"
)

func TestNamesNearAnotherOwners(t *testing.T) {
	w := newWorld(t)
	add(t, w, as("user1"), "a.example", "deep.down.b.example", "пример.рф")
	for _, c := range []struct {
		by, name string
		may      bool
	}{
		{"user2", "x.a.example", false},      // below
		{"user2", "y.x.a.example", false},    // far below
		{"user2", "b.example", false},        // far above
		{"user2", "down.b.example", false},   // above
		{"user2", "x.ПРИМЕР.рф", false},      // in letters
		{"reseller1", "x2.a.example", false}, // its own user's, but another owner's
		{"user2", "xa.example", true},        // neighbours
		{"user2", "a-b.example", true},
		{"user2", "a.example.org", true},
		{"user2", "up.b.example", true},
		{"user1", "z.a.example", true}, // its own
		{"admin", "w.a.example", true}, // may
	} {
		_, err := w.AddDomain(t.Context(), as(c.by), edit("name", c.name))
		kind := mail.Invalid
		if c.may {
			kind = ""
		}
		checkError(t, c.name+" by "+c.by, err, kind, "name", "value_name_near")
	}

	// A family changes hands together or not at all, but for the administrator.
	_, err := w.EditDomain(t.Context(), as("reseller1"), "z.a.example", edit("owner", "user2"))
	checkError(t, "a child given away", err, mail.Invalid, "owner", "value_name_near")
	_, err = w.EditDomain(t.Context(), as("reseller1"), "deep.down.b.example", edit("owner", "user2"))
	checkError(t, "one without family given away", err, "", "", "")
	change(t, w, as("admin"), "z.a.example", edit("owner", "user2"))
	change(t, w, as("user2"), "z.a.example", edit("greylist", "on")) // stays what it is
	checkFollows(t, w)
}

func TestForwardsInACircleAreRefused(t *testing.T) {
	refused := func(t *testing.T, what string, err error) {
		t.Helper()
		checkError(t, what, err, mail.Invalid, "redirval", "value_redirval_circle")
	}
	w := newWorld(t)
	_, err := w.AddDomain(t.Context(), as("user1"), forward("a.example", "A.example."))
	checkError(t, "one", err, mail.Invalid, "redirval", "value_redirval_self")

	// The first leads to what is no domain here yet.
	add(t, w, as("user1"), "a.example=b.example")
	_, err = w.AddDomain(t.Context(), as("user2"), forward("b.example", "a.example"))
	refused(t, "two, the second new", err)
	add(t, w, as("user2"), "b.example=c.example")
	_, err = w.AddDomain(t.Context(), as("user3"), forward("c.example", "a.example"))
	refused(t, "three, of three owners", err)
	add(t, w, as("user3"), "c.example")
	_, err = w.EditDomain(t.Context(), as("user3"), "c.example", forward("", "A.EXAMPLE"))
	refused(t, "three, by an edit", err)
	change(t, w, as("user3"), "c.example", forward("", "d.example"))
	change(t, w, as("user3"), "c.example", edit("greylist", "on")) // what stands is not questioned

	// A circle that is broken by another action is none.
	change(t, w, as("user1"), "a.example", edit("defaction", "error"))
	change(t, w, as("user3"), "c.example", forward("", "a.example"))
	_, err = w.EditDomain(t.Context(), as("user1"), "a.example", forward("", "b.example"))
	refused(t, "closed from the other side", err)
	// An address is not followed: it may be a mailbox.
	change(t, w, as("user1"), "a.example", edit("defaction", "redirect", "redirval", "x@b.example"))
	// In letters of either kind.
	add(t, w, as("user1"), "пример.рф=xn--bcher-kva.example")
	_, err = w.AddDomain(t.Context(), as("user1"), forward("bücher.example", "xn--e1afmkfd.xn--p1ai"))
	refused(t, "two, in letters", err)
	checkFollows(t, w)
}

func TestMailIsHandedThroughSoManyDomains(t *testing.T) {
	w := newWorld(t)
	add(t, w, as("user1"), "d1.example")
	for i := 2; i <= farthest; i++ {
		add(t, w, as("user1"), fmt.Sprintf("d%d.example=d%d.example", i, i-1))
	}
	_, err := w.AddDomain(t.Context(), as("user1"), forward("over.example", fmt.Sprintf("d%d.example", farthest)))
	checkError(t, "one more", err, mail.Invalid, "redirval", "value_redirval_circle")
	// A circle that the new domain is not part of ends the search, too: no writer
	// that came before this rule can make it run for ever.
	_, err = w.AddDomain(t.Context(), as("user1"), forward("other.example", fmt.Sprintf("d%d.example", farthest-1)))
	checkError(t, "one less", err, "", "", "")
}

func TestCirclesAreNotClosedByTwoAtOnce(t *testing.T) {
	w := newWorld(t)
	for round := range 20 {
		a, b := fmt.Sprintf("a%d.example", round), fmt.Sprintf("b%d.example", round)
		add(t, w, as("admin"), a, b)
		var both sync.WaitGroup
		errs := make([]error, 2)
		for i, pair := range [][2]string{{a, b}, {b, a}} {
			both.Go(func() {
				_, errs[i] = w.EditDomain(context.Background(), as("admin"), pair[0], forward("", pair[1]))
			})
		}
		both.Wait()
		if (errs[0] == nil) == (errs[1] == nil) {
			t.Errorf("of two that close a circle: %v and %v", errs[0], errs[1])
		}
	}
	checkFollows(t, w)
}
