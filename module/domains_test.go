package module

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
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
	want := []store.Change{{ID: 1, RequestID: "r1", User: "user1", SuBy: "admin", RemoteIP: "192.0.2.99", Func: "emaildomain.edit", Object: n.String()}}
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
