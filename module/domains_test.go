package module

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"maildomain/module/mail"
	"maildomain/module/store"
)

func TestAddedDomainStandsEverywhere(t *testing.T) {
	w := newWorld(t)
	by := Actor{User: "user1", Level: mail.LevelUser, SuBy: "admin", RequestID: "r1", RemoteIP: "192.0.2.99"}
	n, err := w.AddDomain(t.Context(), by, edit("name", "ПРИМЕР.рф.", "ip", "192.0.2.2", "defaction", "redirect", "redirval", "Me@Other.example"))
	if err != nil || n.String() != "xn--e1afmkfd.xn--p1ai" {
		t.Fatalf("added %q, %v", n, err)
	}
	d := domainOf(t, w, "пример.рф")
	if d.Owner != "user1" || !d.Active || d.OutgoingIP() != "192.0.2.2" || d.Redirval.String() != "me@other.example" {
		t.Errorf("in the database: %v", d.Values())
	}
	got := standing(t, w)
	if s := got["domains/xn--e1afmkfd.xn--p1ai"]; !strings.Contains(s, "\nredirval: me@other.example\n") {
		t.Errorf("settings: %q", s)
	}
	if s := got["domainips"]; !strings.Contains(s, "\nxn--e1afmkfd.xn--p1ai: 192.0.2.2\n") {
		t.Errorf("outgoing addresses: %q", s)
	}
	checkFollows(t, w)
	want := []store.Change{{RequestID: "r1", User: "user1", SuBy: "admin", RemoteIP: "192.0.2.99", Func: "emaildomain.edit", Object: n.String()}}
	h := history(t, w, n.String())
	var after map[string]string
	if len(h) == 1 {
		if err := json.Unmarshal(h[0].After, &after); err != nil {
			t.Fatal(err)
		}
		h[0].After = nil
	}
	if diff := cmp.Diff(want, h); diff != "" {
		t.Errorf("audit (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(d.Values(), after); diff != "" {
		t.Errorf("audited settings (-want +got):\n%s", diff)
	}
}

func TestWrongNamesOfNewDomains(t *testing.T) {
	w := newWorld(t)
	add(t, w, as("user1"), "taken.example", "пример.рф")
	for name, want := range map[string][2]string{
		"":                                {"value", "value_name_required"},
		"localhost":                       {"value", "value_name"},
		"127.0.0.1":                       {"value", "value_name"},
		"a b.example":                     {"value", "value_name"},
		"../../etc/passwd":                {"value", "value_name"},
		"a.example\nstate: active":        {"value", "value_name"},
		strings.Repeat("a.", 1<<15) + "b": {"value", "value_name"},
		"co.uk":                           {"value", "value_name_suffix"},
		"MX.host.example":                 {"value", "value_name_host"},
		"printer.local":                   {"value", "value_name_forbidden"},
		"login.bank.example":              {"value", "value_name_forbidden"},
		"taken.example":                   {"exists", ""},
		"TAKEN.Example.":                  {"exists", ""},
		"XN--E1AFMKFD.xn--p1ai":           {"exists", ""},
	} {
		for _, by := range []Actor{as("user1"), as("user3"), as("admin")} {
			before := standing(t, w)
			_, err := w.AddDomain(t.Context(), by, edit("name", name))
			checkError(t, fmt.Sprintf("%.40q by %s", name, by.User), err, mail.Kind(want[0]), "name", want[1])
			if diff := cmp.Diff(before, standing(t, w)); diff != "" {
				t.Errorf("%.40q changed files:\n%s", name, diff)
			}
		}
	}
	if r := revision(t, w); r != 2 {
		t.Errorf("revision %d after two changes and refusals", r)
	}
}

func TestWrongSettingsChangeNothing(t *testing.T) {
	w := newWorld(t)
	add(t, w, as("user1"), "a.example")
	before, was := standing(t, w), domainOf(t, w, "a.example")
	for field, e := range map[string]mail.DomainEdit{
		"ip":        edit("ip", "192.0.2.77"),
		"defaction": edit("defaction", "discard"),
		"redirval":  edit("defaction", "redirect", "redirval", "|/bin/sh"),
	} {
		e.Greylist = ptr(true)
		_, err := w.EditDomain(t.Context(), as("user1"), "a.example", e)
		if m, ok := errors.AsType[*mail.Error](err); !ok || m.Kind != mail.Invalid || m.Field != field {
			t.Errorf("edit of %s: %v", field, err)
		}
		e.Name = "b.example"
		_, err = w.AddDomain(t.Context(), as("user1"), e)
		if m, ok := errors.AsType[*mail.Error](err); !ok || m.Kind != mail.Invalid || m.Field != field {
			t.Errorf("add with wrong %s: %v", field, err)
		}
	}
	if diff := cmp.Diff(before, standing(t, w)); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(was.Values(), domainOf(t, w, "a.example").Values()); diff != "" {
		t.Error(diff)
	}
	if h := history(t, w, "a.example"); len(h) != 1 {
		t.Errorf("%d lines of audit", len(h))
	}
}

func TestNameIsFixed(t *testing.T) {
	w := newWorld(t)
	add(t, w, as("user1"), "пример.рф")
	for name, kind := range map[string]mail.Kind{"": "", "ПРИМЕР.рф.": "", "xn--e1afmkfd.xn--p1ai": "", "b.example": mail.Invalid, "no name": mail.Invalid} {
		_, err := w.EditDomain(t.Context(), as("user1"), "пример.рф", edit("name", name, "greylist", "on"))
		checkError(t, name, err, kind, "name", "value_name_fixed")
	}
}

// What others own answers exactly as what does not exist, to everyone and whatever
// is asked; and nothing of theirs changes.
func TestForeignDomainIsNone(t *testing.T) {
	w := newWorld(t)
	for _, o := range []string{"user1", "user2", "user3", "user4", "reseller1", "reseller2", "admin"} {
		add(t, w, as("admin"), o+".example")
		change(t, w, as("admin"), o+".example", edit("owner", o, "defaction", "redirect", "redirval", "secret@"+o+".example"))
	}
	sees := map[string][]string{
		"user1": {"user1"}, "user2": {"user2"}, "user3": {"user3"}, "user4": {"user4"},
		"reseller1": {"reseller1", "user1", "user2"},
		"reseller2": {"reseller2", "user4"},
	}
	ops := map[string]func(by Actor, elid string) error{
		"open": func(by Actor, elid string) error {
			_, err := w.OpenDomain(t.Context(), by, elid, mail.DomainEdit{})
			return err
		},
		"edit": func(by Actor, elid string) error {
			_, err := w.EditDomain(t.Context(), by, elid, edit("greylist", "on"))
			return err
		},
		"edit with a wrong value": func(by Actor, elid string) error {
			_, err := w.EditDomain(t.Context(), by, elid, edit("defaction", "x"))
			return err
		},
		"take": func(by Actor, elid string) error {
			_, err := w.EditDomain(t.Context(), by, elid, edit("owner", by.User))
			return err
		},
		"suspend": func(by Actor, elid string) error { return one(w.SuspendDomains(t.Context(), by, []string{elid})) },
		"resume":  func(by Actor, elid string) error { return one(w.ResumeDomains(t.Context(), by, []string{elid})) },
		"delete":  func(by Actor, elid string) error { return one(w.DeleteDomains(t.Context(), by, []string{elid})) },
	}
	before, was := standing(t, w), revision(t, w)
	for user, own := range sees {
		for _, o := range []string{"user1", "user2", "user3", "user4", "reseller1", "reseller2", "admin"} {
			if slices.Contains(own, o) {
				continue
			}
			for what, op := range ops {
				theirs, none := op(as(user), o+".example"), op(as(user), o+"-none.example")
				checkError(t, user+" "+what+" of "+o, theirs, mail.NotFound, "elid", "")
				a, _ := errors.AsType[*mail.Error](theirs)
				b, _ := errors.AsType[*mail.Error](none)
				if a == nil || b == nil {
					t.Fatalf("%s by %s: %v and %v", what, user, theirs, none)
				}
				b.Value = a.Value
				if !reflect.DeepEqual(*a, *b) {
					t.Errorf("%s tells another's domain from none by trying to %s it: %+v, %+v", user, what, *a, *b)
				}
			}
		}
		ds, total, err := w.ListDomains(t.Context(), as(user), mail.Query{Sort: "name", Limit: 100})
		var got []string
		for _, d := range ds {
			got = append(got, d.Owner)
		}
		slices.Sort(got)
		if err != nil || !slices.Equal(got, own) || total != int64(len(own)) {
			t.Errorf("%s lists %q of %d, %v; want %q", user, got, total, err, own)
		}
	}
	if diff := cmp.Diff(before, standing(t, w)); diff != "" || revision(t, w) != was {
		t.Errorf("revision %d, was %d; files:\n%s", revision(t, w), was, diff)
	}
	// The same operations do what they say where one may.
	for _, by := range []string{"user1", "reseller1", "admin"} {
		for _, what := range []string{"open", "edit", "suspend", "resume"} {
			if err := ops[what](as(by), "USER1.example"); err != nil {
				t.Errorf("%s by %s: %v", what, by, err)
			}
		}
	}
	if err := ops["delete"](as("reseller1"), "user1.example"); err != nil {
		t.Error(err)
	}
	checkFollows(t, w)
}

// one is the outcome of a group operation on one object.
func one(done []Outcome, err error) error {
	if err != nil || len(done) != 1 {
		return errors.Join(err, fmt.Errorf("%d outcomes", len(done)))
	}
	return done[0].Err
}

func TestListFilterOfAnotherOwnerShowsNothing(t *testing.T) {
	w := newWorld(t)
	add(t, w, as("user3"), "a.example")
	for user, want := range map[string]int64{"user1": 0, "reseller1": 0, "user3": 1, "admin": 1} {
		_, total, err := w.ListDomains(t.Context(), as(user), mail.Query{Sort: "name", Limit: 10, Owner: "user3", Name: "A.EX"})
		if err != nil || total != want {
			t.Errorf("%s finds %d, %v; want %d", user, total, err, want)
		}
	}
}

func TestUnknownActorsAreRefused(t *testing.T) {
	w := newWorld(t)
	add(t, w, as("user1"), "a.example")
	for _, by := range []Actor{{}, {User: "user1"}, {Level: mail.LevelAdmin}, {User: "user1", Level: "root"}, {User: "user1", Level: "Admin"}} {
		_, _, listed := w.ListDomains(t.Context(), by, mail.Query{Sort: "name"})
		_, opened := w.OpenDomain(t.Context(), by, "a.example", mail.DomainEdit{})
		_, openedNew := w.OpenDomain(t.Context(), by, "", mail.DomainEdit{})
		_, added := w.AddDomain(t.Context(), by, edit("name", "b.example"))
		_, edited := w.EditDomain(t.Context(), by, "a.example", edit("greylist", "on"))
		_, deleted := w.DeleteDomains(t.Context(), by, []string{"a.example"})
		for what, err := range map[string]error{"list": listed, "open": opened, "form": openedNew, "add": added, "edit": edited, "delete": deleted} {
			checkError(t, fmt.Sprintf("%s by %+v", what, by), err, mail.Access, "level", "")
		}
	}
	if r := revision(t, w); r != 1 {
		t.Errorf("revision %d", r)
	}
}

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

func TestFaultsOfThePanelChangeNothing(t *testing.T) {
	w := newWorld(t)
	add(t, w, as("user1"), "a.example")
	before := standing(t, w)
	w.people.fault = errors.New("the core hung up")
	_, added := w.AddDomain(t.Context(), as("user1"), edit("name", "b.example"))
	_, edited := w.EditDomain(t.Context(), as("user1"), "a.example", edit("greylist", "on"))
	_, _, listed := w.ListDomains(t.Context(), as("reseller1"), mail.Query{Sort: "name", Limit: 1})
	_, suspended := w.SuspendDomains(t.Context(), as("reseller1"), []string{"a.example"})
	_, opened := w.OpenDomain(t.Context(), as("admin"), "a.example", mail.DomainEdit{})
	for what, err := range map[string]error{"add": added, "edit": edited, "list": listed, "suspend": suspended, "open": opened} {
		if _, told := errors.AsType[*mail.Error](err); !errors.Is(err, w.people.fault) || told {
			t.Errorf("%s: %v", what, err)
		}
	}
	if diff := cmp.Diff(before, standing(t, w)); diff != "" || revision(t, w) != 1 {
		t.Error(diff)
	}
}

func TestGroupOperationsAnswerEachObject(t *testing.T) {
	w := newWorld(t)
	add(t, w, as("user1"), "a.example", "b.example", "пример.рф")
	add(t, w, as("user3"), "c.example")
	elids := []string{"B.example.", "c.example", "no name", "ПРИМЕР.рф", "none.example", "", "a.example", "\x00"}
	for _, op := range []func(context.Context, Actor, []string) ([]Outcome, error){w.SuspendDomains, w.ResumeDomains, w.DeleteDomains} {
		done, err := op(t.Context(), as("user1"), elids)
		if err != nil || len(done) != len(elids) {
			t.Fatalf("%d outcomes, %v", len(done), err)
		}
		for i, o := range done {
			kind := mail.NotFound
			if i == 0 || i == 3 || i == 6 {
				kind = ""
			}
			checkError(t, elids[i], o.Err, kind, "elid", "")
			if e, ok := errors.AsType[*mail.Error](o.Err); o.Elid != elids[i] || ok && e.Value != elids[i] {
				t.Errorf("the outcome of %q is about %q: %v", elids[i], o.Elid, o.Err)
			}
		}
		checkFollows(t, w)
	}
	if d := domainOf(t, w, "c.example"); !d.Active {
		t.Error("another's domain was suspended")
	}
	if done, err := w.DeleteDomains(t.Context(), as("user1"), nil); err != nil || len(done) != 0 {
		t.Errorf("of nothing: %v, %v", done, err)
	}
}

func TestResumeBringsBackExactly(t *testing.T) {
	w := newWorld(t)
	var elids []string
	for i := range 40 {
		n := fmt.Sprintf("d%02d.example", i)
		elids = append(elids, n)
		add(t, w, as("user1"), n)
	}
	change(t, w, as("user1"), elids[0], edit("ip", "2001:db8::1", "defaction", "redirect", "redirval", "me@other.example", "greylist", "on"))
	before := standing(t, w)
	done, err := w.SuspendDomains(t.Context(), as("user1"), elids)
	all(t, done, err)
	for _, n := range elids {
		if got := standing(t, w)["domains/"+n]; !strings.Contains(got, "\nstate: suspended\n") {
			t.Errorf("suspended, and %q", got)
		}
	}
	was := revision(t, w)
	done, err = w.SuspendDomains(t.Context(), as("user1"), elids) // again: nothing to do
	all(t, done, err)
	if revision(t, w) != was || len(history(t, w, elids[1])) != 2 {
		t.Error("suspending what is suspended is a change")
	}
	change(t, w, as("user1"), elids[1], edit("greylist", "on")) // an edit does not resume
	if d := domainOf(t, w, elids[1]); d.Active {
		t.Error("an edit resumed it")
	}
	change(t, w, as("user1"), elids[1], edit("greylist", "off"))
	done, err = w.ResumeDomains(t.Context(), as("user1"), elids)
	all(t, done, err)
	if diff := cmp.Diff(before, standing(t, w)); diff != "" {
		t.Errorf("resumed:\n%s", diff)
	}
}

func TestDeletedDomainLeavesNothing(t *testing.T) {
	w := newWorld(t)
	before := standing(t, w)
	for range 2 {
		add(t, w, as("user1"), "a.example")
		change(t, w, as("user1"), "a.example", edit("ip", "192.0.2.2"))
		done, err := w.DeleteDomains(t.Context(), as("user1"), []string{"a.example"})
		all(t, done, err)
		if diff := cmp.Diff(before, standing(t, w)); diff != "" {
			t.Errorf("deleted:\n%s", diff)
		}
		if err := one(w.DeleteDomains(t.Context(), as("user1"), []string{"a.example"})); err == nil {
			t.Error("deleted twice")
		}
	}
	// A new domain of that name starts with the settings of a new one, whosever it is.
	add(t, w, as("user3"), "a.example")
	if d := domainOf(t, w, "a.example"); d.Owner != "user3" || d.IP.IsValid() {
		t.Errorf("made anew: %v", d.Values())
	}
	if h := history(t, w, "a.example"); len(h) != 7 || h[2].Func != "emaildomain.delete" || h[2].After != nil || h[2].Before == nil {
		t.Errorf("audit: %+v", h)
	}
}

func TestSavingWithoutAChangeIsNone(t *testing.T) {
	w := newWorld(t)
	add(t, w, as("user1"), "a.example")
	path := w.settingsOf("a.example")
	before, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range []mail.DomainEdit{{}, edit("name", "A.example", "owner", "user1", "ip", "auto", "defaction", "error", "greylist", "off")} {
		change(t, w, as("user1"), "a.example", e)
	}
	after, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if !os.SameFile(before, after) || revision(t, w) != 1 || len(history(t, w, "a.example")) != 1 {
		t.Error("saving what stands wrote it again")
	}
}
