package module

import (
	"context"
	"os"
	"sync"
	"testing"
	"time"

	"maildomain/module/mail"
)

func TestRepeatedRequestIsCarriedOutOnce(t *testing.T) {
	w := newWorld(t)
	by := as("user1").request("r1")
	for range 3 {
		n, err := w.AddDomain(t.Context(), by, edit("name", "a.example"))
		if err != nil || n.String() != "a.example" {
			t.Fatalf("added %q, %v", n, err)
		}
	}
	at, err := os.Stat(w.settingsOf("a.example"))
	if err != nil {
		t.Fatal(err)
	}
	if h := history(t, w, "a.example"); len(h) != 1 || revision(t, w) != 1 {
		t.Errorf("%d changes, revision %d", len(h), revision(t, w))
	}
	if _, err := w.AddDomain(t.Context(), by, edit("name", "A.EXAMPLE.", "greylist", "on")); err != nil {
		t.Errorf("in another spelling: %v", err)
	}
	if now, err := os.Stat(w.settingsOf("a.example")); err != nil || !os.SameFile(at, now) {
		t.Errorf("the file was written again: %v", err)
	}

	// The answer stands though the domain has moved on since.
	change(t, w, as("user1").request("r2"), "a.example", edit("greylist", "on"))
	change(t, w, as("user1").request("r3"), "a.example", edit("greylist", "off"))
	change(t, w, as("user1").request("r2"), "a.example", edit("greylist", "on"))
	if domainOf(t, w, "a.example").Greylist {
		t.Error("a repeated edit was carried out again")
	}
	done, err := w.DeleteDomains(t.Context(), as("user1").request("r4"), []string{"a.example"})
	all(t, done, err)
	done, err = w.DeleteDomains(t.Context(), as("user1").request("r4"), []string{"a.example"})
	all(t, done, err)
	add(t, w, as("user1").request("r5"), "a.example")
	done, err = w.DeleteDomains(t.Context(), as("user1").request("r4"), []string{"a.example"})
	all(t, done, err)
	if h := history(t, w, "a.example"); len(h) != 5 {
		t.Errorf("%d changes, want 5", len(h))
	}
	checkFollows(t, w)
}

func TestRepeatedAtOnceIsCarriedOutOnce(t *testing.T) {
	w := newWorld(t)
	var callers sync.WaitGroup
	for range 12 {
		callers.Go(func() {
			if _, err := w.AddDomain(context.Background(), as("user1").request("r1"), edit("name", "a.example")); err != nil {
				t.Error(err)
			}
		})
	}
	callers.Wait()
	if h := history(t, w, "a.example"); len(h) != 1 {
		t.Errorf("%d changes", len(h))
	}
	checkFollows(t, w)
}

func TestRequestIDOfAnotherIsRefused(t *testing.T) {
	w := newWorld(t)
	add(t, w, as("user1").request("r1"), "a.example")
	change(t, w, as("admin"), "a.example", edit("owner", "user2"))
	was := revision(t, w)
	_, err := w.EditDomain(t.Context(), as("user2").request("r1"), "a.example", edit("greylist", "on"))
	checkError(t, "by another user", err, mail.Invalid, "request_id", "")
	checkError(t, "for another function", one(w.SuspendDomains(t.Context(), as("user1").request("r1"), []string{"a.example"})), mail.Invalid, "request_id", "")
	if revision(t, w) != was {
		t.Error("changed all the same")
	}
	// An id is about one object: a group operation has one for many.
	add(t, w, as("user1").request("r1"), "b.example", "c.example")
	done, err := w.DeleteDomains(t.Context(), as("user1").request("r6"), []string{"b.example", "C.example", "c.example"})
	all(t, done, err)
	checkFollows(t, w)
}

func TestRefusedRequestMayBeRepeatedWhenItCanSucceed(t *testing.T) {
	w := newWorld(t)
	add(t, w, as("user2"), "a.example")
	by := as("user1").request("r1")
	_, err := w.AddDomain(t.Context(), by, edit("name", "a.example"))
	checkError(t, "taken", err, mail.Exists, "name", "")
	done, err := w.DeleteDomains(t.Context(), as("user2"), []string{"a.example"})
	all(t, done, err)
	add(t, w, by, "a.example")
}

func TestAnswersAreForgottenAfterADay(t *testing.T) {
	w := newWorld(t)
	add(t, w, as("user1").request("r1"), "a.example")
	made := domainOf(t, w, "a.example").Created
	suspend := func() {
		t.Helper()
		done, err := w.SuspendDomains(t.Context(), as("user1").request("r2"), []string{"a.example"})
		all(t, done, err)
	}
	resume := func() {
		t.Helper()
		done, err := w.ResumeDomains(t.Context(), as("user1"), []string{"a.example"})
		all(t, done, err)
	}
	suspend()
	resume()
	if err := w.ForgetAnswers(t.Context(), made.Add(24*time.Hour)); err != nil {
		t.Fatal(err)
	}
	suspend()
	if !domainOf(t, w, "a.example").Active {
		t.Error("forgotten within a day")
	}
	if err := w.ForgetAnswers(t.Context(), made.Add(25*time.Hour)); err != nil {
		t.Fatal(err)
	}
	suspend()
	if domainOf(t, w, "a.example").Active {
		t.Error("kept for longer than a day")
	}
}
