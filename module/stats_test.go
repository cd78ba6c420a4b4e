package module

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/rs/zerolog"

	"maildomain/module/files"
	"maildomain/module/mail"
	"maildomain/module/store"
)

// logs adds lines of Exim's to its log, each noting what is said at an instant.
func logs(t testing.TB, w *world, at time.Time, said ...string) {
	t.Helper()
	name := filepath.Join(w.dir, files.Debian.EximLog())
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(name, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o640)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for _, s := range said {
		if _, err := fmt.Fprintf(f, "%s 1xVIvD-00086Y-0o maildomain: %d %s\n", at.Format(time.DateTime), at.Unix(), s); err != nil {
			t.Fatal(err)
		}
	}
}

func countsOf(t testing.TB, w *world, by Actor, elid, days string) Stats {
	t.Helper()
	s, err := w.DomainStats(context.Background(), by, elid, days)
	if err != nil {
		t.Fatalf("counts of %s: %v", elid, err)
	}
	return s
}

// total is what was counted of a domain, as "accepted 1 refused 2".
func total(s Stats) string {
	var words []string
	for f, n := range s.Total {
		if n > 0 {
			words = append(words, fmt.Sprint(mail.Fate(f), " ", n))
		}
	}
	return strings.Join(words, " ")
}

// zoned is a world whose clock is at noon UTC, in a zone.
func zoned(t testing.TB, zone string) *world {
	t.Helper()
	w := newWorld(t)
	var err error
	if w.counting.zone, err = time.LoadLocation(zone); err != nil {
		t.Fatal(err)
	}
	return w
}

func TestCountsAreOfTheServersDay(t *testing.T) {
	w := zoned(t, "Pacific/Auckland") // 13 hours ahead in March: the clock is at 2026-03-02 01:00
	add(t, w, as("user1"), "a.example")
	noon := w.Module.db.Now()
	logs(t, w, noon.Add(30*time.Second), "accepted a.example", "delivered a.example")
	logs(t, w, noon.Add(23*time.Hour), "greylisted a.example")
	s := countsOf(t, w, as("user1"), "a.example", "2")
	want := []DayStats{{mail.DayOf(noon, time.UTC), mail.Counts{}}, {mail.DayOf(noon, time.UTC) + 1, mail.Counts{mail.FateAccepted: 1, mail.FateDelivered: 1}}}
	if diff := cmp.Diff(want, s.Days); diff != "" {
		t.Error(diff)
	}
	if s.Days[1].Day.String() != "2026-03-02" || s.Until.IsZero() || s.Absent {
		t.Errorf("%s, %v, %v", s.Days[1].Day, s.Until, s.Absent)
	}
	w.mu.Lock()
	w.now = w.now.Add(24 * time.Hour)
	w.mu.Unlock()
	if s := countsOf(t, w, as("user1"), "a.example", ""); len(s.Days) != 30 || s.Days[29].Counts[mail.FateGreylisted] != 1 || s.Days[28].Counts[mail.FateAccepted] != 1 {
		t.Errorf("%v", s.Days)
	}
}

func TestCountsAreSeenByWhoSeesTheDomain(t *testing.T) {
	w := newWorld(t)
	add(t, w, as("user1"), "a.example")
	add(t, w, as("user2"), "b.example")
	logs(t, w, w.Module.db.Now(), "accepted a.example", "accepted b.example", "accepted b.example", "accepted nobody.example", "accepted not..a-name", "stolen a.example")
	if err := w.Count(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ user, elid, want string }{
		{"user1", "a.example", "accepted 1"}, {"user2", "b.example", "accepted 2"}, {"admin", "B.Example.", "accepted 2"}, {"reseller1", "a.example", "accepted 1"},
	} {
		if got := total(countsOf(t, w, as(c.user), c.elid, "1")); got != c.want {
			t.Errorf("%s sees of %s: %s, want %s", c.user, c.elid, got, c.want)
		}
	}
	for _, elid := range []string{"b.example", "nobody.example", "", "../x"} {
		_, err := w.DomainStats(t.Context(), as("user1"), elid, "")
		checkError(t, elid, err, mail.NotFound, "elid", "")
	}
	for _, days := range []string{"0", "401", "-1", "x", "1e3", " 5"} {
		_, err := w.DomainStats(t.Context(), as("user1"), "a.example", days)
		checkError(t, days, err, mail.Invalid, "days", "value_days")
	}
}

// Who has a name next sees nothing of what was counted for it before, nor is anything
// of that time counted later.
func TestCountsEndWithTheDomain(t *testing.T) {
	w := newWorld(t)
	add(t, w, as("user1"), "a.example", "ab.example")
	at := w.Module.db.Now()
	logs(t, w, at, "accepted a.example", "accepted ab.example")
	if got := total(countsOf(t, w, as("user1"), "a.example", "")); got != "accepted 1" {
		t.Fatal(got)
	}
	done, err := w.DeleteDomains(t.Context(), as("user1"), []string{"a.example"})
	all(t, done, err)
	logs(t, w, at.Add(2*time.Second), "refused a.example")
	w.mu.Lock()
	w.now = w.now.Add(time.Hour)
	w.mu.Unlock()
	add(t, w, as("user2"), "a.example")
	logs(t, w, at.Add(3*time.Second), "refused a.example")
	if got := total(countsOf(t, w, as("user2"), "a.example", "")); got != "" {
		t.Errorf("the next owner sees %s", got)
	}
	logs(t, w, w.Module.db.Now(), "spam a.example")
	if got := total(countsOf(t, w, as("user2"), "a.example", "")); got != "spam 1" {
		t.Errorf("and then %s", got)
	}
	if got := total(countsOf(t, w, as("user1"), "ab.example", "")); got != "accepted 1" {
		t.Errorf("another domain has %s", got)
	}
}

func TestOldCountsAreDropped(t *testing.T) {
	w := newWorld(t)
	w.mu.Lock()
	w.now = w.now.AddDate(-3, 0, 0)
	w.mu.Unlock()
	add(t, w, as("user1"), "a.example")
	first := w.Module.db.Now()
	logs(t, w, first, "accepted a.example")
	countsOf(t, w, as("user1"), "a.example", "")
	rows := func() (n int) {
		t.Helper()
		err := w.db.View(t.Context(), func(ctx context.Context, tx *store.Tx) error {
			n0, err := mail.ParseName("a.example")
			if err != nil {
				return err
			}
			all, err := tx.CountsOf(ctx, n0, 0, 1<<40)
			n = len(all)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	for _, c := range []struct{ days, want int }{{399, 2}, {400, 2}, {1200, 1}} {
		w.mu.Lock()
		w.now = first.AddDate(0, 0, c.days)
		w.mu.Unlock()
		logs(t, w, w.Module.db.Now(), "accepted a.example")
		if err := w.Count(t.Context()); err != nil || rows() != c.want {
			t.Errorf("after %d days: %d rows, want %d, %v", c.days, rows(), c.want, err)
		}
	}
	logs(t, w, first, "accepted a.example") // of a log that lay somewhere for long
	if err := w.Count(t.Context()); err != nil || rows() != 1 {
		t.Errorf("what is too old: %d rows, %v", rows(), err)
	}
}

// Nobody may look for so long that logs are removed meanwhile.
func TestRenewCounts(t *testing.T) {
	w := newWorld(t)
	add(t, w, as("user1"), "a.example")
	logs(t, w, w.Module.db.Now(), "accepted a.example", "sent a.example")
	if err := w.Renew(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(w.dir, files.Debian.EximLog())); err != nil {
		t.Fatal(err)
	}
	if got := total(countsOf(t, w, as("user1"), "a.example", "1")); got != "accepted 1 sent 1" {
		t.Errorf("counted before the log was removed: %q", got)
	}
}

// Two processes that count at once count each line once.
func TestTwoWhoCountCountOnce(t *testing.T) {
	w := newWorld(t)
	add(t, w, as("user1"), "a.example")
	other := New(w.db, w.Module.tree, w.people.panel(), zerolog.New(w.log))
	const rounds, lines = 10, 300
	var said []string
	for range lines {
		said = append(said, "accepted a.example")
	}
	for range rounds {
		logs(t, w, w.Module.db.Now(), said...)
		ended := make(chan error)
		for _, m := range []*Module{w.Module, other} {
			go func() { ended <- m.Count(context.Background()) }()
		}
		for range 2 {
			if err := <-ended; err != nil {
				t.Error(err)
			}
		}
	}
	if got := total(countsOf(t, w, as("user1"), "a.example", "")); got != fmt.Sprint("accepted ", rounds*lines) {
		t.Error(got)
	}
}

func TestCountersSayThatTheyAreNotThere(t *testing.T) {
	w := newWorld(t)
	add(t, w, as("user1"), "a.example")
	name := filepath.Join(w.dir, files.Debian.Hooks(), "macros.conf")
	if err := os.WriteFile(name, []byte("MD_LOG = syslog\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if s := countsOf(t, w, as("user1"), "a.example", ""); !s.Absent || !s.Until.IsZero() {
		t.Errorf("by syslog: %+v", s)
	}
	if err := os.Remove(name); err != nil {
		t.Fatal(err)
	}
	if s := countsOf(t, w, as("user1"), "a.example", ""); s.Absent {
		t.Errorf("nothing logged yet: %+v", s)
	}
	before := revision(t, w)
	logs(t, w, w.Module.db.Now(), "sent a.example")
	if s := countsOf(t, w, as("user1"), "a.example", ""); total(s) != "sent 1" || revision(t, w) != before {
		t.Errorf("%s, revision %d and then %d", total(s), before, revision(t, w))
	}
	if err := os.Truncate(filepath.Join(w.dir, files.Debian.EximLog()), 0); err != nil {
		t.Fatal(err)
	}
	logs(t, w, w.Module.db.Now(), "sent a.example")
	if s := countsOf(t, w, as("user1"), "a.example", ""); total(s) != "sent 2" || strings.Contains(w.log.String(), "error") {
		t.Errorf("emptied: %s\n%s", total(s), w.log)
	}
}
