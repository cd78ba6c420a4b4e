package module

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"maildomain/module/mail"
)

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
