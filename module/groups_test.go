package module

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"maildomain/module/mail"
)

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
