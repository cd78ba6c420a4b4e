package files

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
)

func openRoot(t *testing.T) (*os.Root, string) {
	t.Helper()
	dir := t.TempDir()
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = root.Close() })
	return root, dir
}

func setUp(t *testing.T, root *os.Root, l Layout) Report {
	t.Helper()
	r, err := Setup(t.Context(), root, l, KeepOthers)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// confs is what r found of the main configuration files, Exim's first.
func confs(r Report) [2]ConfState { return [2]ConfState{r.Confs[0].State, r.Confs[1].State} }

func bothAre(s ConfState) [2]ConfState { return [2]ConfState{s, s} }

// snapshot is every path below dir with its mode, owner, inode and content.
func snapshot(t *testing.T, dir string) map[string]string {
	t.Helper()
	all := map[string]string{}
	err := filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		st := info.Sys().(*syscall.Stat_t)
		entry := fmt.Sprint(info.Mode(), info.ModTime(), st.Uid, st.Gid, st.Ino)
		if d.Type().IsRegular() {
			b, err := os.ReadFile(p)
			if err != nil {
				return err
			}
			entry += string(b)
		}
		all[p] = entry
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func TestSetupMakesTheLayoutAndAgainNothing(t *testing.T) {
	for _, l := range []Layout{Debian, RHEL} {
		t.Run(l.Name, func(t *testing.T) {
			root, dir := openRoot(t)
			r := setUp(t, root, l)
			if confs(r) != bothAre(ConfNone) || len(r.Done) != len(directories(l))+2 {
				t.Errorf("report of the first run: %+v", r)
			}
			for _, d := range directories(l) {
				info, err := root.Stat(d.path)
				if err != nil {
					t.Fatal(err)
				}
				if info.Mode() != d.mode|fs.ModeDir {
					t.Errorf("%s has mode %v, want %v", d.path, info.Mode(), d.mode)
				}
			}
			conf, err := root.ReadFile(l.EximConf)
			if err != nil || !bytes.Equal(conf, EximConf(l)) {
				t.Errorf("configuration differs from the template's, %v", err)
			}
			before := snapshot(t, dir)
			if r := setUp(t, root, l); confs(r) != bothAre(ConfOwn) || len(r.Done) != 0 {
				t.Errorf("report of the second run: %+v", r)
			}
			if after := snapshot(t, dir); !maps.Equal(before, after) {
				t.Errorf("the second run changed something:\n%v\n%v", before, after)
			}
		})
	}
}

// Whatever umask the administrator's shell has, files get the mode of the table.
func TestSetupModesDoNotDependOnUmask(t *testing.T) {
	for _, mask := range []int{0, 0o077} {
		was := syscall.Umask(mask)
		root, _ := openRoot(t)
		_, err := Setup(t.Context(), root, Debian, KeepOthers)
		syscall.Umask(was)
		if err != nil {
			t.Fatal(err)
		}
		for p, want := range map[string]fs.FileMode{
			Debian.EximConf: 0o640, Debian.Domains(): 0o750 | fs.ModeDir, Debian.State: 0o700 | fs.ModeDir, "etc/exim4": 0o755 | fs.ModeDir,
		} {
			info, err := root.Stat(p)
			if err != nil || info.Mode() != want {
				t.Errorf("umask %o: %s has mode %v, %v; want %v", mask, p, info.Mode(), err, want)
			}
		}
	}
}

// both are the main configuration files of Debian's layout.
var both = []struct {
	path string
	text []byte
	i    int // in Report.Confs
}{{Debian.EximConf, EximConf(Debian), 0}, {Debian.DovecotConf(), DovecotConf(Debian), 1}}

func TestSetupReplacesItsOwnOlderConfiguration(t *testing.T) {
	for _, f := range both {
		root, _ := openRoot(t)
		setUp(t, root, Debian)
		rest := []byte("# what version 0 wrote\nprimary_hostname = old.example\n")
		older := append([]byte("# maildomain 0 sha256="+sum(rest)+": written by \"maildomain setup\"\n"), rest...)
		if err := root.WriteFile(f.path, older, 0o640); err != nil {
			t.Fatal(err)
		}
		r := setUp(t, root, Debian)
		if got, want := strings.Join(r.Done, "\n"), "/"+f.path+": replaced by this version's"; got != want || confs(r) != bothAre(ConfOwn) {
			t.Errorf("done %q, found %s", got, confs(r))
		}
		if conf, _ := root.ReadFile(f.path); !bytes.Equal(conf, f.text) {
			t.Error("the older configuration stands")
		}
	}
}

func TestSetupLeavesWhatOthersWrote(t *testing.T) {
	for _, f := range both {
		line := map[int]string{0: "never_users = root", 1: "first_valid_uid = 100"}[f.i]
		last := map[int]string{0: "+begin routers", 1: "+service quota-status {"}[f.i]
		for name, c := range map[string]struct {
			conf  []byte
			state ConfState
			diff  string // a line that the difference must have
		}{
			"edited":   {bytes.Replace(f.text, []byte(line), []byte("x = 1"), 1), ConfEdited, "-x = 1\n+" + line},
			"appended": {append(bytes.Clone(f.text), "\nqueue_only\n"...), ConfEdited, "-queue_only"},
			"foreign":  {[]byte("acl_smtp_rcpt = accept\n"), ConfForeign, "-acl_smtp_rcpt = accept"},
			"empty":    {[]byte{}, ConfForeign, last},
			"cut":      {f.text[:1000], ConfEdited, last},
		} {
			t.Run(path.Base(f.path)+" "+name, func(t *testing.T) {
				root, dir := openRoot(t)
				setUp(t, root, Debian)
				if err := root.WriteFile(f.path, c.conf, 0o644); err != nil {
					t.Fatal(err)
				}
				before := snapshot(t, dir)
				r := setUp(t, root, Debian)
				found := r.Confs[f.i]
				if found.State != c.state || len(r.Done) != 0 {
					t.Errorf("found %s, did %q; want %s, nothing", found.State, r.Done, c.state)
				}
				if !strings.Contains(found.Diff, c.diff) || !strings.Contains(found.Diff, "--- /"+f.path+"\n+++ maildomain's\n") {
					t.Errorf("difference lacks %q:\n%s", c.diff, found.Diff)
				}
				if other := r.Confs[1-f.i]; other.State != ConfOwn || other.Diff != "" {
					t.Errorf("the other file is %s", other.State)
				}
				if after := snapshot(t, dir); !maps.Equal(before, after) {
					t.Error("something changed")
				}
			})
		}
	}
}

// Asked to, setup takes the place of Debian's configuration and keeps it; a second
// one that it would have to keep is not overwritten.
func TestSetupReplacesOthersWhenAskedAndLosesNothing(t *testing.T) {
	root, _ := openRoot(t)
	name := Debian.DovecotConf()
	if err := root.MkdirAll(Debian.Dovecot, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := root.WriteFile(name, []byte("!include conf.d/*.conf\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	r, err := Setup(t.Context(), root, Debian, ReplaceOthers)
	if err != nil || r.Confs[1].State != ConfForeign || r.Confs[1].Diff != "" {
		t.Fatalf("%+v, %v", r, err)
	}
	if got, want := r.Done[len(r.Done)-1], "/etc/dovecot/dovecot.conf: written, what stood there is now /etc/dovecot/dovecot.conf.before-maildomain"; got != want {
		t.Errorf("done %q, want %q", got, want)
	}
	kept := func() string {
		b, err := root.ReadFile(name + Beside)
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	if now, _ := root.ReadFile(name); !bytes.Equal(now, DovecotConf(Debian)) || kept() != "!include conf.d/*.conf\n" {
		t.Errorf("stands: %.60q, kept: %q", now, kept())
	}
	if err := root.WriteFile(name, []byte("mine = 1\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := Setup(t.Context(), root, Debian, ReplaceOthers); !errors.Is(err, fs.ErrExist) {
		t.Errorf("error %v", err)
	}
	if now, _ := root.ReadFile(name); string(now) != "mine = 1\n" || kept() != "!include conf.d/*.conf\n" {
		t.Errorf("stands: %.60q, kept: %q", now, kept())
	}
}

// A link is how an administrator keeps the file elsewhere: renaming over it
// would cut it.
func TestSetupDoesNotReplaceALink(t *testing.T) {
	root, _ := openRoot(t)
	setUp(t, root, Debian)
	if err := root.Rename(Debian.EximConf, "etc/exim4/mine.conf"); err != nil {
		t.Fatal(err)
	}
	if err := root.Symlink("mine.conf", Debian.EximConf); err != nil {
		t.Fatal(err)
	}
	if r := setUp(t, root, Debian); r.Confs[0].State != ConfForeign || len(r.Done) != 0 {
		t.Errorf("found %s, did %q", r.Confs[0].State, r.Done)
	}
}

func TestSetupRefusesWhatIsNoDirectory(t *testing.T) {
	for name, stand := range map[string]func(*os.Root) error{
		"file": func(r *os.Root) error { return r.WriteFile(Debian.Domains(), nil, 0o644) },
		"link out of the root": func(r *os.Root) error {
			return r.Symlink("/tmp", Debian.Domains())
		},
	} {
		t.Run(name, func(t *testing.T) {
			root, _ := openRoot(t)
			if err := root.MkdirAll(Debian.Exim, 0o755); err != nil {
				t.Fatal(err)
			}
			if err := stand(root); err != nil {
				t.Fatal(err)
			}
			if _, err := Setup(t.Context(), root, Debian, KeepOthers); err == nil || !strings.Contains(err.Error(), "set up etc/exim4/domains") {
				t.Errorf("error %v", err)
			}
		})
	}
}

func TestSetupPutsOwnerAndModeRight(t *testing.T) {
	root, _ := openRoot(t)
	setUp(t, root, Debian)
	if err := root.Chmod(Debian.Domains(), 0o777); err != nil {
		t.Fatal(err)
	}
	if err := root.Chmod(Debian.EximConf, 0o666); err != nil {
		t.Fatal(err)
	}
	if err := root.Chmod(Debian.Exim, 0o711); err != nil { // the distribution's: not ours to judge
		t.Fatal(err)
	}
	r := setUp(t, root, Debian)
	want := "/etc/exim4/domains: owner and mode put right\n/etc/exim4/exim4.conf: owner and mode put right"
	if got := strings.Join(r.Done, "\n"); got != want {
		t.Errorf("did\n%s\nwant\n%s", got, want)
	}
	for p, want := range map[string]fs.FileMode{Debian.Domains(): 0o750, Debian.EximConf: 0o640, Debian.Exim: 0o711} {
		if info, err := root.Stat(p); err != nil || info.Mode().Perm() != want {
			t.Errorf("%s: %v, %v; want %v", p, info.Mode(), err, want)
		}
	}
}

// An empty directory would make Exim refuse every mail domain for good.
func TestSetupClosesTheGateWhereSettingsAreGone(t *testing.T) {
	root, _ := openRoot(t)
	setUp(t, root, Debian)
	if err := root.WriteFile(Debian.Ready(), nil, 0o640); err != nil {
		t.Fatal(err)
	}
	setUp(t, root, Debian)
	if _, err := root.Stat(Debian.Ready()); err != nil {
		t.Errorf("all in place, and the marker is gone: %v", err)
	}
	if err := root.Remove(Debian.Domains()); err != nil {
		t.Fatal(err)
	}
	setUp(t, root, Debian)
	if _, err := root.Stat(Debian.Ready()); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the marker stands beside an empty directory: %v", err)
	}
}

func TestSetupStartsOverWhereARunBrokeOff(t *testing.T) {
	root, _ := openRoot(t)
	setUp(t, root, Debian)
	if err := root.Rename(Debian.EximConf, Debian.EximConf+".maildomain-new"); err != nil {
		t.Fatal(err)
	}
	setUp(t, root, Debian)
	entries, err := fs.ReadDir(root.FS(), Debian.Exim)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	if got := strings.Join(names, " "); got != "domains exim4.conf lists mailboxes maildomain.d ssl" {
		t.Errorf("left: %s", got)
	}
}

func TestFirstLineKnowsAnyChange(t *testing.T) {
	conf := EximConf(Debian)
	if got := CheckConf(conf); got != ConfOwn {
		t.Fatalf("fresh: %s", got)
	}
	if got := CheckConf(nil); got != ConfNone {
		t.Errorf("no file: %s", got)
	}
	first := bytes.IndexByte(conf, '\n') + 1
	for i := first; i < len(conf); i += 97 {
		changed := bytes.Clone(conf)
		changed[i] ^= 1
		if got := CheckConf(changed); got != ConfEdited {
			t.Errorf("byte %d changed: %s", i, got)
		}
	}
	if got := CheckConf(conf[1:]); got != ConfForeign {
		t.Errorf("first line broken: %s", got)
	}
}

// Exim would replace the shorter name within the longer one, or refuse the file.
func TestNoMacroNameIsPartOfAnother(t *testing.T) {
	text := string(EximConf(Debian))
	names := map[string]bool{}
	for _, m := range regexp.MustCompile(`(?m)^(?:# {3}|\.ifn?def )?(MD_[A-Z_]+)`).FindAllStringSubmatch(text, -1) {
		names[m[1]] = true
	}
	if len(names) < 15 {
		t.Fatalf("found only %d macros", len(names))
	}
	for a := range names {
		for b := range names {
			if a != b && strings.Contains(a, b) {
				t.Errorf("%s contains %s", a, b)
			}
		}
	}
}

// Each of these options is off by default, and lets redirection data do more
// than name addresses.
func TestEveryRedirectForbidsEverything(t *testing.T) {
	_, routers, _ := strings.Cut(string(EximConf(Debian)), "begin routers\n")
	routers, _, _ = strings.Cut(routers, "begin transports\n")
	blocks := regexp.MustCompile(`(?m)^[a-z_]+:\n(?:[ #].*\n)+`).FindAllString(routers, -1)
	redirects := 0
	for _, b := range blocks {
		if !strings.Contains(b, "driver = redirect\n") {
			continue
		}
		redirects++
		name, _, _ := strings.Cut(b, ":")
		constant := regexp.MustCompile(`(?m)^  data = :(fail|defer|blackhole):`).MatchString(b)
		want := []string{"forbid_pipe", "forbid_file", "forbid_include", "forbid_filter_reply", "forbid_exim_filter", "forbid_sieve_filter"}
		if !constant {
			want = append(want, "forbid_smtp_code")
		}
		if !strings.Contains(b, "data = :blackhole:") && name != "own_alias" {
			want = append(want, "forbid_blackhole")
		}
		for _, option := range want {
			if !strings.Contains(b, "  "+option+"\n") {
				t.Errorf("router %s lacks %s", name, option)
			}
		}
		for _, never := range []string{"allow_filter", "pipe_transport", "file_transport", "directory_transport", "reply_transport"} {
			if strings.Contains(b, never) {
				t.Errorf("router %s has %s", name, never)
			}
		}
		if !constant && (strings.Contains(b, "allow_fail") || strings.Contains(b, "allow_defer")) {
			t.Errorf("router %s lets data fail or defer", name)
		}
	}
	if redirects < 10 {
		t.Errorf("found only %d redirect routers", redirects)
	}
}

// No path and no list is made of what a client sent. ($dkim_domain is what a look-up
// in the directory of settings gave.)
func TestOnlyLookedUpNamesInPaths(t *testing.T) {
	for line := range strings.Lines(string(EximConf(RHEL))) {
		if strings.HasPrefix(strings.TrimSpace(line), "#") {
			continue
		}
		line = strings.ReplaceAll(line, "${mask:$sender_host_address/$item}", "") // the length of a network
		if m := regexp.MustCompile(`/\$(\w+)`).FindStringSubmatch(line); m != nil && !slices.Contains([]string{"domain_data", "local_part_data", "dkim_domain"}, m[1]) {
			t.Errorf("path of $%s: %s", m[1], line)
		}
		if strings.Contains(line, "/etc/exim4") {
			t.Errorf("Debian's path in RHEL's configuration: %s", line)
		}
	}
	if d := path.Dir(RHEL.EximConf); !strings.Contains(string(EximConf(RHEL)), "MD_CONF = /"+d+"\n") {
		t.Error("RHEL's path is missing")
	}
}

func TestSetupTellsOfTheUserThatIsMissing(t *testing.T) {
	root, _ := openRoot(t)
	l := Debian
	l.MailUser = "no-such-user-here"
	r, err := Setup(t.Context(), root, l, KeepOthers)
	if err != nil || len(r.Lacks) != 1 || r.Lacks[0] != l.MailUser || confs(r) != bothAre(ConfNone) {
		t.Errorf("%+v, %v", r, err)
	}
	if _, err := root.Stat(l.Mail); err != nil {
		t.Errorf("the rest was not done: %v", err)
	}
}

func TestDovecotsConfigurationFollowsTheLayout(t *testing.T) {
	for l, user := range map[Layout]string{Debian: "Debian-exim", RHEL: "exim"} {
		text := string(DovecotConf(l))
		if n := strings.Count(text, "    user = "+user+"\n"); n != 3 {
			t.Errorf("%s: %d sockets of Exim's, want 3", l.Name, n)
		}
		for _, want := range []string{
			"/etc/dovecot/users/%d\n", "override_fields = uid=vmail gid=vmail\n", "ssl_cert = </etc/dovecot/certs/default.crt\n",
			"!include_try /etc/dovecot/certs/certs.conf\n", "\n!include_try /etc/dovecot/maildomain.d/*.conf\n",
		} {
			if !strings.Contains(text, want) {
				t.Errorf("%s lacks %q", l.Name, want)
			}
		}
		if strings.Contains(text, "[[") || !strings.HasSuffix(text, "maildomain.d/*.conf\n") {
			t.Errorf("%s: something is left open, or comes after the administrator's word", l.Name)
		}
	}
}
