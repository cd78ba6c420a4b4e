package tests

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"maildomain/module/files"
	"maildomain/tests/lab"
	"maildomain/tests/world"
)

// The report of letters, in each form of the answer, for who may see the domain.
func TestLettersAreReportedByDay(t *testing.T) {
	w := world.Start(t, world.Options{})
	w.Must(t, "user1", "emaildomain.edit", "name", "bücher.example", "sok", "ok")
	now := time.Now().Add(time.Second)
	var log strings.Builder
	for _, said := range []string{"accepted", "accepted", "delivered", "spam"} {
		fmt.Fprintf(&log, "%s 1xVIvD-00086Y-0o maildomain: %d %s xn--bcher-kva.example\n", now.Format(time.DateTime), now.Unix(), said)
	}
	name := filepath.Join(w.Root, files.Debian.EximLog())
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(log.String()), 0o640); err != nil {
		t.Fatal(err)
	}
	var a world.Answer
	soon(t, w, "the letters are counted", func() bool { // the module itself may be counting just now
		a = w.Must(t, "user1", "emaildomain.stats", "elid", "bücher.example", "days", "2")
		return a.Text["accepted"] == "2"
	})
	if a.Text["accepted"] != "2" || a.Text["delivered"] != "1" || a.Text["spam"] != "1" || a.Text["virus"] != "0" || a.Text["days"] != "2" || a.Text["until"] == "" || a.Text["said"] != "" {
		t.Errorf("sums: %v", a.Text)
	}
	today := time.Now().Format(time.DateOnly)
	if len(a.Elems) != 2 || a.Elems[0]["day"] != today || a.Elems[0]["accepted"] != "2" || a.Elems[1]["accepted"] != "0" {
		t.Errorf("days: %v", a.Elems)
	}
	for out, want := range map[string][]string{
		"xml":  {"<accepted>2</accepted>", "<day>" + today + "</day>", `func="emaildomain.stats"`},
		"json": {`"accepted":{"$":"2"}`, `"day":{"$":"` + today + `"}`},
		"text": {"accepted=2", "day=" + today},
	} {
		text, errs, status, err := w.Ctl("-u", "user1", "-o", out, "emaildomain.stats", "elid=xn--bcher-kva.example", "days=1")
		if err != nil || status != 0 {
			t.Fatalf("%s: %d, %v, %s", out, status, err, errs)
		}
		for _, part := range want {
			if !strings.Contains(text, part) {
				t.Errorf("%s lacks %s:\n%s", out, part, text)
			}
		}
	}
	w.Must(t, "reseller1", "emaildomain.stats", "elid", "bücher.example")
	w.Refused(t, "missed(elid)", "user2", "emaildomain.stats", "elid", "bücher.example")
	w.Refused(t, "missed(elid)", "user1", "emaildomain.stats", "elid", "nobody.example")
	w.Refused(t, "value(days)", "user1", "emaildomain.stats", "elid", "bücher.example", "days", "many")
	hooks := filepath.Join(w.Root, files.Debian.Hooks(), "macros.conf")
	if err := os.WriteFile(hooks, []byte("MD_LOG = syslog\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	soon(t, w, "it is said that Exim does not log to a file", func() bool {
		return strings.Contains(w.Must(t, "user1", "emaildomain.stats", "elid", "bücher.example").Text["said"], "does not log to a file")
	})
}

// Letters come while the log is moved away in both manners and the module is killed
// again and again: in the end each has counted once.
func TestCountsAreExactWhateverHappens(t *testing.T) {
	lab.NeedRoot(t)
	lab.Need(t, "exim4")
	w := world.Start(t, world.Options{})
	domains := []string{"one.example", "two.example", "three.example"}
	for _, d := range domains {
		w.Must(t, "user1", "emaildomain.edit", "name", d, "defaction", "ignore", "sok", "ok")
	}
	w.Must(t, "user1", "emaildomain.edit", "name", "none.example", "defaction", "error", "sok", "ok")
	x := lab.Start(t, w.Root, lab.Options{})
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()

	// What was moved away before anybody has ever looked at the log is not counted.
	if r, err := x.Send(ctx, "someone@elsewhere.test", "a@one.example", "Subject: first\n\nx\n"); err != nil || !r.OK() {
		t.Fatal(r, err)
	}
	soon(t, w, "the first letter is counted", func() bool {
		return w.Must(t, "user1", "emaildomain.stats", "elid", "one.example").Text["accepted"] == "1"
	})

	const senders, each = 3, 40
	var sending sync.RWMutex // whoever holds it may write to the log
	var load, trouble sync.WaitGroup
	for s := range senders {
		load.Go(func() {
			for n := range each {
				sending.RLock()
				to := []string{"a@none.example"}
				for _, d := range domains[:1+(s+n)%3] {
					to = append(to, "a@"+d)
				}
				_, last, err := lab.Client{Addr: x.Addr()}.SendAll(ctx, "someone@elsewhere.test", to, "Subject: x\n\nx\n")
				sending.RUnlock()
				if err != nil || !last.OK() {
					t.Errorf("a letter was not taken: %v, %v", last, err)
				}
			}
		})
	}
	done := make(chan struct{})
	log := filepath.Join(w.Root, files.Debian.EximLog())
	trouble.Go(func() {
		for n := range kept { // a log that is removed before anybody looks is lost
			select {
			case <-done:
				return
			case <-time.After(150 * time.Millisecond):
			}
			if n%3 == 2 {
				// What is logged between the copy and the truncation is lost to everybody.
				sending.Lock()
				if err := x.Rest(ctx); err != nil {
					t.Error(err)
				}
				moveLog(t, log, true)
				sending.Unlock()
			} else {
				moveLog(t, log, false)
			}
		}
	})
	trouble.Go(func() {
		for {
			select {
			case <-done:
				return
			case <-time.After(120 * time.Millisecond):
			}
			if _, err := w.Call(ctx, "user1", "emaildomain.stats", "elid", "one.example"); err != nil {
				t.Error(err)
			}
			if pid := w.ModulePID(); pid > 0 {
				_ = syscall.Kill(pid, syscall.SIGKILL)
			}
		}
	})
	load.Wait()
	close(done)
	trouble.Wait()
	if err := x.Rest(ctx); err != nil {
		t.Fatal(err)
	}

	want := map[string]int{"none.example refused": senders * each, "one.example accepted": 1}
	for s := range senders {
		for n := range each {
			for _, d := range domains[:1+(s+n)%3] {
				want[d+" accepted"]++
			}
		}
	}
	for what, number := range want {
		domain, fate, _ := strings.Cut(what, " ")
		var got string
		for end := time.Now().Add(2 * time.Minute); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
			if got = w.Must(t, "user1", "emaildomain.stats", "elid", domain).Text[fate]; got == fmt.Sprint(number) {
				break
			}
		}
		if got != fmt.Sprint(number) {
			t.Errorf("%s: %s, want %d", what, got, number)
		}
	}
	if said := w.Log("maildomain"); strings.Contains(said, "is not there any more") {
		t.Error("the module says that lines were lost")
	}
	for _, d := range domains { // and it stays so
		if got := w.Must(t, "user1", "emaildomain.stats", "elid", d).Text["accepted"]; got != fmt.Sprint(want[d+" accepted"]) {
			t.Errorf("%s: %s, want %d", d, got, want[d+" accepted"])
		}
	}
}

// kept is how many logs are kept.
const kept = 100

// moveLog moves a log away as logrotate does.
func moveLog(t *testing.T, name string, copied bool) {
	for n := kept - 1; n > 0; n-- {
		err := os.Rename(fmt.Sprintf("%s.%d", name, n), fmt.Sprintf("%s.%d", name, n+1))
		if err != nil && !os.IsNotExist(err) {
			t.Error(err)
		}
	}
	if !copied {
		if err := os.Rename(name, name+".1"); err != nil && !os.IsNotExist(err) {
			t.Error(err)
		}
		return
	}
	b, err := os.ReadFile(name)
	if os.IsNotExist(err) {
		return
	}
	if err == nil {
		err = os.WriteFile(name+".1", b, 0o640)
	}
	if err == nil {
		err = os.Truncate(name, 0)
	}
	if err != nil {
		t.Error(err)
	}
}
