package files

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"maildomain/module/mail"
)

// A logWorld is a tree with a log, and what was read of it and committed.
type logWorld struct {
	t    rapid.TB
	tree *Tree
	dir  string
	at   mail.LogPlace
	got  []string
	next int // number of the next line

	settles time.Duration
}

func newLogWorld(t rapid.TB, root string) *logWorld {
	t.Helper()
	tree, err := OpenTree(root, Debian)
	if err != nil {
		t.Fatal(err)
	}
	w := &logWorld{t: t, tree: tree, settles: time.Hour, dir: filepath.Join(root, "var/log/exim4")}
	if err := os.MkdirAll(w.dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return w
}

func (w *logWorld) path(name string) string { return filepath.Join(w.dir, name) }

func (w *logWorld) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

// append adds text to a file.
func (w *logWorld) append(name, text string) {
	w.t.Helper()
	f, err := os.OpenFile(w.path(name), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o640)
	w.must(err)
	_, err = f.WriteString(text)
	w.must(errors.Join(err, f.Close()))
}

// log has n more lines logged.
func (w *logWorld) log(n int) {
	w.t.Helper()
	text := ""
	for range n {
		text += fmt.Sprintf("line %d%s\n", w.next, strings.Repeat(" x", w.next%7*40))
		w.next++
	}
	w.append("mainlog", text)
}

// rest has what was moved away be older than a writer can be late, until fresh.
func (w *logWorld) rest() { w.settles = -1 }

func (w *logWorld) fresh() { w.settles = time.Hour }

// read reads what there is; a commit that fails leaves all as it was.
func (w *logWorld) read(commits error) (lost bool) {
	w.t.Helper()
	var pending []string
	lost, err := w.tree.ReadLog(context.Background(), w.at, w.settles, func(b []byte) {
		if word := strings.Fields(string(b)); len(word) > 1 {
			pending = append(pending, word[1])
		}
	}, func(p mail.LogPlace) error {
		if commits != nil {
			return commits
		}
		w.at = p
		w.got = append(w.got, pending...)
		pending = nil
		return nil
	})
	if !errors.Is(err, commits) {
		w.t.Fatalf("read: %v, want %v", err, commits)
	}
	return lost
}

// complete holds what was read against what was logged.
func (w *logWorld) complete(what string) {
	w.t.Helper()
	var want []string
	for i := range w.next {
		want = append(want, fmt.Sprint(i))
	}
	if !slices.Equal(w.got, want) {
		w.t.Fatalf("%s: read %d lines of %d: %v", what, len(w.got), w.next, w.got)
	}
}

// rotate moves the log away as logrotate does: what is older than the first is
// compressed.
func (w *logWorld) rotate(copied bool) {
	w.t.Helper()
	for n := 9; n > 0; n-- {
		for _, end := range []string{"", ".gz"} {
			from := w.path(fmt.Sprintf("mainlog.%d%s", n, end))
			if _, err := os.Stat(from); err == nil {
				w.must(os.Rename(from, w.path(fmt.Sprintf("mainlog.%d%s", n+1, end))))
			}
		}
	}
	if _, err := os.Stat(w.path("mainlog.2")); err == nil {
		w.compress("mainlog.2")
	}
	if _, err := os.Stat(w.path("mainlog")); err != nil {
		return
	}
	if !copied {
		w.must(os.Rename(w.path("mainlog"), w.path("mainlog.1")))
		return
	}
	b, err := os.ReadFile(w.path("mainlog"))
	w.must(err)
	w.must(os.WriteFile(w.path("mainlog.1"), b, 0o640))
	w.must(os.Truncate(w.path("mainlog"), 0))
}

func (w *logWorld) compress(name string) {
	w.t.Helper()
	b, err := os.ReadFile(w.path(name))
	w.must(err)
	var z bytes.Buffer
	g := gzip.NewWriter(&z)
	_, err = g.Write(b)
	w.must(errors.Join(err, g.Close()))
	w.must(os.WriteFile(w.path(name+".gz"), z.Bytes(), 0o640))
	w.must(os.Remove(w.path(name)))
}

// However logs are moved on, and whenever one looks, each line is read once and in its
// order.
func TestEachLineOfTheLogIsReadOnce(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		root, err := os.MkdirTemp("", "log-")
		if err != nil {
			t.Fatal(err)
		}
		defer os.RemoveAll(root)
		w := newLogWorld(t, root)
		defer w.tree.Close()
		moved := 0
		for range rapid.IntRange(1, 25).Draw(t, "steps") {
			switch rapid.SampledFrom([]string{"log", "log", "read", "rename", "copy", "fail", "fresh"}).Draw(t, "step") {
			case "log":
				w.log(rapid.IntRange(1, 30).Draw(t, "lines"))
			case "read":
				w.rest()
				if w.read(nil) {
					t.Fatal("told of lost lines")
				}
				w.complete("at rest")
				moved = 0
			case "fresh": // what was moved away may still be written to
				w.fresh()
				w.read(nil)
			case "fail":
				w.rest()
				if w.at.Bytes > 0 {
					w.read(errNoCommit(w))
				}
			case "rename", "copy":
				// The first log is read from its beginning, but none before it.
				if moved < 8 && w.at.HeadSize > 0 {
					moved++
					w.rotate(rapid.Bool().Draw(t, "copied"))
				}
			}
		}
		w.rest()
		w.read(nil)
		w.complete("at the end")
	})
}

// errNoCommit is an error where there is something to commit.
func errNoCommit(w *logWorld) error {
	before, got := w.at, slices.Clone(w.got)
	w.read(nil)
	changed := w.at != before
	w.at, w.got = before, got
	if changed {
		return io.ErrShortWrite
	}
	return nil
}

func TestHalfALineWaits(t *testing.T) {
	w := newLogWorld(t, t.TempDir())
	w.append("mainlog", "line 0\nli")
	w.read(nil)
	w.append("mainlog", "ne 1")
	w.read(nil)
	if !slices.Equal(w.got, []string{"0"}) {
		t.Errorf("read %v", w.got)
	}
	w.append("mainlog", "\n")
	w.read(nil)
	w.next = 2
	w.complete("whole")
	w.append("mainlog", strings.Repeat("x", 3*logLine)+"\nline 2\n")
	w.read(nil)
	w.next = 3
	w.complete("after a line that is none of Exim's")
}

// Exim may have opened the file before it was moved, and write to it after.
func TestFileMovedAwayIsReadToItsEndFirst(t *testing.T) {
	w := newLogWorld(t, t.TempDir())
	w.log(3)
	w.read(nil)
	w.rotate(false)
	w.append("mainlog", "line 5\n")
	w.append("mainlog.1", "line 3\n")
	w.read(nil)
	w.next = 4
	w.complete("just moved")
	w.append("mainlog.1", "line 4\n")
	w.read(nil)
	w.next = 5
	w.complete("written to since")
	w.rest()
	w.read(nil)
	w.next = 6
	w.complete("at rest")
}

func TestEmptiedLogIsReadFromItsBeginning(t *testing.T) {
	w := newLogWorld(t, t.TempDir())
	w.log(40)
	w.read(nil)
	w.must(os.Truncate(w.path("mainlog"), 0))
	if !w.read(nil) {
		t.Error("nothing was said of it")
	}
	w.log(60)
	if w.read(nil) {
		t.Error("it was said again")
	}
	w.complete("after it was emptied")
	w.must(os.Remove(w.path("mainlog")))
	if w.read(nil) {
		t.Error("told of lost lines while it may come back")
	}
	w.log(1)
	if !w.read(nil) || w.read(nil) {
		t.Error("that it was removed is not told once")
	}
	w.complete("after it was removed")
	// Cut off in the middle: what stands was read.
	w.must(os.Truncate(w.path("mainlog"), 0))
	w.read(nil)
	w.log(100)
	w.read(nil)
	w.must(os.Truncate(w.path("mainlog"), 2000))
	if !w.read(nil) {
		t.Error("nothing was said of the cut")
	}
	w.append("mainlog", "\n")
	w.log(2)
	w.read(nil)
	if got := w.got[len(w.got)-2:]; !slices.Equal(got, []string{fmt.Sprint(w.next - 2), fmt.Sprint(w.next - 1)}) {
		t.Errorf("after the cut: %v", got)
	}
}

func TestLogsWithDatesInTheirNamesAreFollowed(t *testing.T) {
	w := newLogWorld(t, t.TempDir())
	w.log(3)
	w.read(nil)
	for _, day := range []string{"20261120", "20261121", "20261122"} {
		w.log(5)
		w.must(os.Rename(w.path("mainlog"), w.path("mainlog-"+day)))
	}
	w.compress("mainlog-20261120")
	w.compress("mainlog-20261121")
	w.append("mainlog.notes", "nobody's\n")
	w.append("mainlog-old", "nobody's\n")
	w.log(5)
	w.rest()
	if w.read(nil) {
		t.Error("told of lost lines")
	}
	w.complete("by dates")
}

func TestBrokenCompressedLogIsWaitedForAndThenLeft(t *testing.T) {
	w := newLogWorld(t, t.TempDir())
	w.log(300)
	w.read(nil)
	w.log(300)
	w.must(os.Rename(w.path("mainlog"), w.path("mainlog.2")))
	w.compress("mainlog.2")
	whole, err := os.ReadFile(w.path("mainlog.2.gz"))
	w.must(err)
	w.next = 600
	w.log(1)
	for _, size := range []int{5, len(whole) / 4, len(whole) * 9 / 10} {
		w.must(os.WriteFile(w.path("mainlog.2.gz"), whole[:size], 0o640))
		if _, err := w.tree.ReadLog(t.Context(), w.at, w.settles, func([]byte) {}, func(mail.LogPlace) error { return nil }); err == nil {
			t.Errorf("%d bytes of %d are taken for all", size, len(whole))
		}
	}
	old := time.Now().Add(-2 * logPacked)
	w.must(os.Chtimes(w.path("mainlog.2.gz"), old, old))
	w.rest()
	if !w.read(nil) {
		t.Error("lost lines are not told of")
	}
	if last := w.got[len(w.got)-1]; last != "600" {
		t.Errorf("it went on with %s", last)
	}
	if slices.Compact(slices.Clone(w.got))[0] != "0" || len(w.got) < 301 || len(w.got) > 600 {
		t.Errorf("%d lines", len(w.got))
	}
}

func TestWhereEximLogsTo(t *testing.T) {
	for _, c := range []struct{ macros, want string }{
		{"", "var/log/exim4/mainlog"},
		{"MD_SPOOL = /x\n# MD_LOG = /y/%slog\n", "var/log/exim4/mainlog"},
		{"MD_LOG = /srv/log/%slog\n", "srv/log/mainlog"},
		{"MD_LOG = /a/%slog\nMD_LOG == /srv/../b/exim_%s.log : syslog\n", "b/exim_main.log"},
		{"MD_LOG = <; syslog ; /srv/%slog\n", "srv/mainlog"},
		{"MD_LOG = syslog :\n", "var/log/exim4/mainlog"},
		{"MD_LOG = syslog\n", ""},
		{"MD_LOG = /srv/%s-%D\n", ""},
	} {
		w := newLogWorld(t, t.TempDir())
		w.must(os.MkdirAll(filepath.Join(w.tree.dir, Debian.Hooks()), 0o755))
		w.must(os.WriteFile(filepath.Join(w.tree.dir, Debian.Hooks(), "macros.conf"), []byte(c.macros), 0o644))
		got, err := w.tree.eximLog()
		if got != c.want || (err == nil) != (c.want != "") || err != nil && !errors.Is(err, ErrNoLog) {
			t.Errorf("%q: %q, %v, want %q", c.macros, got, err, c.want)
		}
	}
	if got := RHEL.EximLog(); got != "var/log/exim/main.log" {
		t.Error(got)
	}
}

func TestNothingButFilesIsReadAsALog(t *testing.T) {
	w := newLogWorld(t, t.TempDir())
	w.must(os.Mkdir(w.path("mainlog"), 0o755))
	if _, err := w.tree.ReadLog(t.Context(), w.at, w.settles, func([]byte) {}, func(mail.LogPlace) error { return nil }); err == nil {
		t.Error("a directory was read")
	}
	w.must(os.Remove(w.path("mainlog")))
	w.must(os.Symlink("/etc/passwd", w.path("mainlog")))
	if _, err := w.tree.ReadLog(t.Context(), w.at, w.settles, func([]byte) {}, func(mail.LogPlace) error { return nil }); err == nil {
		t.Error("a link out of the tree was followed")
	}
}
