package module

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"maildomain/module/mail"
)

func TestCallerWhoHangsUpBeforehandChangesNothing(t *testing.T) {
	w := newWorld(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := w.AddDomain(ctx, as("user1"), edit("name", "a.example")); !errors.Is(err, context.Canceled) {
		t.Errorf("added: %v", err)
	}
	if revision(t, w) != 0 {
		t.Error("changed")
	}
	checkFollows(t, w)
}

func TestForeignFileInTheWayIsToldAndKept(t *testing.T) {
	w := newWorld(t)
	add(t, w, as("user1"), "b.example")
	for _, n := range []string{"a.example", "b.example"} {
		if err := os.WriteFile(w.settingsOf(n), []byte("my own settings\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	before := standing(t, w)
	unavailable := func(what string, err error) {
		t.Helper()
		checkError(t, what, err, mail.Unavailable, "files", "unavailable_foreign")
	}
	_, err := w.AddDomain(t.Context(), as("user1"), edit("name", "a.example"))
	unavailable("add", err)
	_, err = w.EditDomain(t.Context(), as("user1"), "b.example", edit("greylist", "on"))
	unavailable("edit", err)
	unavailable("suspend", one(w.SuspendDomains(t.Context(), as("user1"), []string{"b.example"})))
	unavailable("delete", one(w.DeleteDomains(t.Context(), as("user1"), []string{"b.example"})))
	if diff := cmp.Diff(before, standing(t, w)); diff != "" || revision(t, w) != 1 {
		t.Errorf("revision %d; files:\n%s", revision(t, w), diff)
	}
}

func TestEditedFileIsWrittenAnewAndLogged(t *testing.T) {
	w := newWorld(t)
	add(t, w, as("user1"), "a.example", "b.example")
	b, err := os.ReadFile(w.settingsOf("a.example"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(w.settingsOf("a.example"), append(b, "greylist: on\n"...), 0o640); err != nil {
		t.Fatal(err)
	}
	change(t, w, as("user1").request("r7"), "a.example", edit("greylist", "on"))
	change(t, w, as("user1").request("r8"), "b.example", edit("greylist", "on"))
	checkFollows(t, w)
	if s := w.log.String(); !strings.Contains(s, "etc/exim4/domains/a.example") || !strings.Contains(s, "r7") || strings.Contains(s, "r8") {
		t.Errorf("log: %s", s)
	}
}

// Many changes of one domain share commits; none of them is another's edit.
func TestOwnChangesAreNotLoggedAsOthers(t *testing.T) {
	w := newWorld(t)
	add(t, w, as("user1"), "a.example")
	var callers sync.WaitGroup
	for i := range 16 {
		callers.Go(func() {
			for j := range 5 {
				to := fmt.Sprintf("me%d-%d@other.example", i, j)
				if _, err := w.EditDomain(context.Background(), as("user1"), "a.example", edit("defaction", "redirect", "redirval", to)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	callers.Wait()
	checkFollows(t, w)
	if s := w.log.String(); strings.Contains(s, "not as we left it") {
		t.Errorf("log: %s", s)
	}
}
