package module

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"

	"maildomain/module/mail"
)

func TestOwnersThatMayBeChosen(t *testing.T) {
	w := newWorld(t)
	i := 0
	for _, c := range []struct {
		by, owner string
		may       bool
	}{
		{"user1", "user1", true}, {"user1", "user2", false}, {"user1", "admin", false}, {"user1", "nobody", false}, {"user1", "", true},
		{"reseller1", "user1", true}, {"reseller1", "reseller1", true}, {"reseller1", "user3", false}, {"reseller1", "user4", false},
		{"reseller1", "reseller2", false}, {"reseller1", "nobody", false}, {"reseller1", "User1", false},
		{"admin", "user3", true}, {"admin", "reseller2", true}, {"admin", "nobody", false}, {"admin", "user1 ", false},
	} {
		i++
		what := c.by + " for " + c.owner
		kind, owner := mail.Kind(""), c.owner
		if !c.may {
			kind = mail.Invalid
		}
		if owner == "" {
			owner = c.by
		}
		name := fmt.Sprintf("new%d.example", i)
		_, err := w.AddDomain(t.Context(), as(c.by), edit("name", name, "owner", c.owner))
		checkError(t, "add by "+what, err, kind, "owner", "value_owner")
		if c.may && domainOf(t, w, name).Owner != owner {
			t.Errorf("%s: it belongs to %s", what, domainOf(t, w, name).Owner)
		}
		name = fmt.Sprintf("old%d.example", i)
		add(t, w, as(c.by), name)
		_, err = w.EditDomain(t.Context(), as(c.by), name, edit("owner", c.owner))
		checkError(t, "edit by "+what, err, kind, "owner", "value_owner")
	}
	checkFollows(t, w)
}

func TestLimitOfDomainsHolds(t *testing.T) {
	w := newWorld(t)
	var group sync.WaitGroup
	var mu sync.Mutex
	full := 0
	for i := range 10 { // at once: all see room before any has taken it
		group.Go(func() {
			_, err := w.AddDomain(context.Background(), as("user3"), edit("name", fmt.Sprintf("d%d.example", i)))
			if e, ok := errors.AsType[*mail.Error](err); ok && e.Kind == mail.Limit && e.Field == "emaildomains" && e.Args["limit"] == "3" {
				mu.Lock()
				full++
				mu.Unlock()
			} else if err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	if full != 7 {
		t.Errorf("%d of 10 were refused, want 7", full)
	}
	add(t, w, as("user1"), "given.example")
	_, err := w.AddDomain(t.Context(), as("admin"), edit("name", "x.example", "owner", "user3"))
	checkError(t, "added by the administrator", err, mail.Limit, "emaildomains", "limit_emaildomains")
	_, err = w.EditDomain(t.Context(), as("admin"), "given.example", edit("owner", "user3"))
	checkError(t, "given by the administrator", err, mail.Limit, "emaildomains", "limit_emaildomains")

	ds, _, err := w.ListDomains(t.Context(), as("user3"), mail.Query{Sort: "name", Limit: 10})
	if err != nil || len(ds) != 3 {
		t.Fatalf("%d domains, %v", len(ds), err)
	}
	change(t, w, as("user3"), ds[0].Name.String(), edit("owner", "user3", "greylist", "on")) // full, and its own
	done, err := w.DeleteDomains(t.Context(), as("user3"), []string{ds[0].Name.String()})
	all(t, done, err)
	change(t, w, as("admin"), "given.example", edit("owner", "user3"))
	checkFollows(t, w)
}

func TestLimitBelowWhatStandsOnlyStopsMore(t *testing.T) {
	w := newWorld(t)
	add(t, w, as("user1"), "a.example", "b.example")
	u := w.people.users["user1"]
	u.Limits = map[string]int64{"emaildomains": 0}
	w.people.set(u)
	change(t, w, as("user1"), "a.example", edit("greylist", "on"))
	_, err := w.AddDomain(t.Context(), as("user1"), edit("name", "c.example"))
	checkError(t, "one more", err, mail.Limit, "emaildomains", "limit_emaildomains")
}

func TestOwnerChange(t *testing.T) {
	w := newWorld(t)
	add(t, w, as("user1"), "a.example", "b.example", "c.example")
	change(t, w, as("user1"), "a.example", edit("ip", "192.0.2.2"))
	change(t, w, as("user1"), "b.example", edit("ip", "192.0.2.1"))
	change(t, w, as("user1"), "c.example", edit("secure", "on"))

	change(t, w, as("reseller1"), "a.example", edit("owner", "user2"))
	change(t, w, as("reseller1"), "b.example", edit("owner", "user2"))
	if d := domainOf(t, w, "a.example"); d.Owner != "user2" || d.OutgoingIP() != "" {
		t.Errorf("an address that the new owner lacks: %v", d.Values())
	}
	if d := domainOf(t, w, "b.example"); d.Owner != "user2" || d.OutgoingIP() != "192.0.2.1" {
		t.Errorf("an address that both have: %v", d.Values())
	}
	checkFollows(t, w)
	if err := one(w.SuspendDomains(t.Context(), as("user1"), []string{"a.example"})); err == nil {
		t.Error("the old owner still reaches it")
	}
	change(t, w, as("user2"), "a.example", edit("greylist", "on"))

	_, err := w.EditDomain(t.Context(), as("admin"), "c.example", edit("owner", "user3"))
	checkError(t, "to one without SSL", err, mail.Limit, "ssl", "limit_ssl")
	if d := domainOf(t, w, "c.example"); d.Owner != "user1" || !d.Secure {
		t.Errorf("refused, and %v", d.Values())
	}
	change(t, w, as("admin"), "c.example", edit("owner", "user3", "secure", "off"))
	if d := domainOf(t, w, "c.example"); d.Owner != "user3" || d.Secure {
		t.Errorf("given away and switched off: %v", d.Values())
	}
	_, err = w.EditDomain(t.Context(), as("user3"), "c.example", edit("secure", "on"))
	checkError(t, "on again", err, mail.Limit, "ssl", "limit_ssl")
}

func TestDomainOfAnOwnerWhoIsGone(t *testing.T) {
	w := newWorld(t)
	add(t, w, as("user1"), "a.example", "b.example")
	change(t, w, as("user1"), "a.example", edit("ip", "192.0.2.2"))
	w.people.remove("user1")
	change(t, w, as("admin"), "a.example", edit("greylist", "on", "owner", "user1"))
	_, err := w.EditDomain(t.Context(), as("admin"), "a.example", edit("ip", "192.0.2.1"))
	checkError(t, "an address of nobody", err, mail.Invalid, "ip", "value_ip_foreign")
	_, err = w.EditDomain(t.Context(), as("admin"), "a.example", edit("secure", "on"))
	checkError(t, "a right of nobody", err, mail.Limit, "ssl", "limit_ssl")
	if f, err := w.OpenDomain(t.Context(), as("admin"), "a.example", mail.DomainEdit{}); err != nil || f.MaySSL || len(f.IPs) != 0 {
		t.Errorf("its form: %+v, %v", f, err)
	}
	change(t, w, as("admin"), "a.example", edit("owner", "user2"))
	done, err := w.DeleteDomains(t.Context(), as("admin"), []string{"b.example"})
	all(t, done, err)
	checkFollows(t, w)
}

// The limits of one owner must not be held against the domain of another.
func TestOwnerThatChangedMeanwhileIsBusy(t *testing.T) {
	w := newWorld(t)
	add(t, w, as("user1"), "a.example")
	w.people.asked = func(string) {
		w.people.asked = nil
		change(t, w, as("admin"), "a.example", edit("owner", "user2"))
	}
	_, err := w.EditDomain(t.Context(), as("reseller1"), "a.example", edit("ip", "192.0.2.2"))
	checkError(t, "edit", err, mail.Busy, "elid", "")
	w.people.asked = func(string) {
		w.people.asked = nil
		change(t, w, as("admin"), "a.example", edit("owner", "user3"))
	}
	_, err = w.EditDomain(t.Context(), as("user2"), "a.example", edit("greylist", "on"))
	checkError(t, "edit of what was taken away", err, mail.NotFound, "elid", "")
	if d := domainOf(t, w, "a.example"); d.Greylist || d.IP.IsValid() {
		t.Errorf("changed all the same: %v", d.Values())
	}
}
