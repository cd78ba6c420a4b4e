package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"maildomain/module/files"
	"maildomain/tests/lab"
)

// programs builds the two programs into one directory, as "make build" does.
func programs(t *testing.T) string {
	t.Helper()
	lab.NeedRoot(t)
	lab.Need(t, "exim4", "swaks")
	lab.NeedDovecot(t)
	bin := public(t)
	out, err := exec.CommandContext(t.Context(), "go", "build", "-o", bin+"/", "maildomain/cmd/maildomain", "maildomain/tests/mail").CombinedOutput()
	if err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	return bin
}

// public is a temporary directory that every user can enter.
func public(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.Chmod(filepath.Dir(dir), 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

// data is a DATA whose root has a mail domain and belongs to uid, below a
// directory that nobody else may enter.
func data(t *testing.T, bin string, uid int) string {
	t.Helper()
	closed := filepath.Join(public(t), "closed")
	d := filepath.Join(closed, "data")
	root := filepath.Join(d, "root")
	if err := os.MkdirAll(root, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{closed, d, root} {
		if err := os.Chown(dir, uid, uid); err != nil {
			t.Fatal(err)
		}
	}
	if out, err := as(uid, filepath.Join(bin, "maildomain"), "setup", "--root", root).CombinedOutput(); err != nil {
		t.Fatalf("setup: %v\n%s", err, out)
	}
	lab.PutBoxes(t, root, "a.example", lab.Box{Name: "box"})
	for name, text := range map[string]string{
		"domains/a.example": "state: active\ndefaction: redirect\nredirval: me@foreign.test\n",
		"domains/b.example": "state: suspended\ndefaction: ignore\n",
		"domainips":         "a.example: 127.0.0.11\n",
		"maildomain.ready":  "",
	} {
		lab.Put(t, root, filepath.Join("etc/exim4", name), "# maildomain 1: a test\n"+text)
	}
	if uid != 0 { // who can give nothing to anybody else
		err := filepath.WalkDir(root, func(p string, _ os.DirEntry, err error) error {
			return errors.Join(err, os.Chown(p, uid, uid))
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chmod(closed, 0o700); err != nil {
		t.Fatal(err)
	}
	return d
}

func as(uid int, program string, args ...string) *exec.Cmd {
	cmd := exec.Command(program, args...)
	cmd.Env = []string{"PATH=/usr/bin:/bin"}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(uid)}}
	return cmd
}

// A running is "make mail" as a person sees it.
type running struct {
	cmd   *exec.Cmd
	lines chan string
}

// environment has free ports for everything; SMTP listens at one that was chosen before,
// if it is not empty. Passwords in clear are taken where both ends are 127.0.0.1.
func environment(t *testing.T, listen string) []string {
	t.Helper()
	env, listeners := os.Environ(), new(demo).listeners()
	free := slices.DeleteFunc(lab.FreeAddrsOn(t, "127.0.0.1", len(listeners)+1), func(a string) bool { return a == listen })
	for i, l := range listeners {
		env = append(env, l.variable+"="+free[i])
	}
	if listen != "" {
		env = append(env, "SMTP_LISTEN="+listen)
	}
	return env
}

func start(t *testing.T, bin, data, listen string) *running {
	t.Helper()
	r := &running{cmd: exec.Command(filepath.Join(bin, "mail")), lines: make(chan string, 100)}
	r.cmd.Dir = filepath.Dir(data)
	r.cmd.Env = append(environment(t, listen), "DATA="+filepath.Base(data))
	out, err := r.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	r.cmd.Stderr = os.Stderr
	if err := r.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.cmd.Process.Kill(); _ = r.cmd.Wait() })
	go func() {
		for s := bufio.NewScanner(out); s.Scan(); {
			r.lines <- s.Text()
		}
		close(r.lines)
	}()
	return r
}

// until returns the next line that contains what.
func (r *running) until(t *testing.T, what string) string {
	t.Helper()
	limit := time.After(time.Minute)
	for {
		select {
		case line, open := <-r.lines:
			if !open {
				t.Fatalf("ended without saying %q", what)
			}
			if strings.Contains(line, what) {
				return line
			}
		case <-limit:
			t.Fatalf("has not said %q", what)
		}
	}
}

func TestMakeMailShowsTheDefaultActionAtWork(t *testing.T) {
	bin := programs(t)
	for name, uid := range map[string]int{"root's": 0, "an ordinary user's": 4711} {
		t.Run(name, func(t *testing.T) {
			d := data(t, bin, uid)
			if err := os.MkdirAll(filepath.Dir(filepath.Join(d, "root", files.Debian.EximLog())), 0o755); err != nil {
				t.Fatal(err)
			}
			before := listing(t, filepath.Join(d, "root"))
			listen := lab.FreeAddrsOn(t, "127.0.0.1", 1)[0]
			r := start(t, bin, d, listen)
			r.until(t, "Exim listens on "+listen)
			at := map[string]string{}
			for _, name := range []string{"smtp", "submission", "submissions", "imap", "imaps", "pop3", "pop3s", "managesieve"} {
				at[name] = strings.TrimPrefix(r.until(t, name+" "), name+" ")
			}
			try := strings.Fields(r.until(t, "swaks --server "+listen+" --from"))
			login := strings.Fields(strings.ReplaceAll(r.until(t, "swaks --server "+at["submission"]+" --tls"), "box@example.com", "box@a.example"))
			read := strings.Fields(strings.ReplaceAll(r.until(t, "curl --user"), "box@example.com", "box@a.example:"+lab.Secret))
			try[len(try)-1] = "any.one@a.example"
			if out, err := exec.CommandContext(t.Context(), try[0], try[1:]...).CombinedOutput(); err != nil {
				t.Fatalf("swaks: %v\n%s", err, out)
			}
			line := r.until(t, "sent from ")
			if want := "sent from 127.0.0.1 as mail.demo.test: <you@sender.test> to <me@foreign.test>: data/mail/sent/"; !strings.HasPrefix(line, want) {
				t.Errorf("said %q, want %q", line, want)
			}
			letter, err := os.ReadFile(filepath.Join(filepath.Dir(d), line[strings.LastIndex(line, " ")+1:]))
			if err != nil || !bytes.Contains(letter, []byte("X-Sink-To: <me@foreign.test>\r\n")) {
				t.Errorf("letter: %v\n%s", err, letter)
			}

			login[len(login)-1] = "box@a.example"
			login = append(login, "--auth-password", lab.Secret, "--header", "Subject: to myself")
			if out, err := exec.CommandContext(t.Context(), login[0], login[1:]...).CombinedOutput(); err != nil {
				t.Fatalf("%q: %v\n%s", login, err, out)
			}
			read[len(read)-1] = strings.Trim(strings.Replace(read[len(read)-1], "MAILINDEX=*", "MAILINDEX=1", 1), "'")
			if !strings.Contains(read[len(read)-1], "//"+at["imap"]+"/") {
				t.Errorf("reads at %s", read[len(read)-1])
			}
			for ended := time.Now().Add(time.Minute); ; time.Sleep(20 * time.Millisecond) { // delivery is Exim's, in the background
				out, err := exec.CommandContext(t.Context(), read[0], append(read[1:], "--silent")...).Output()
				if err == nil && bytes.Contains(out, []byte("Subject: to myself")) {
					break
				}
				if time.Now().After(ended) {
					t.Fatalf("%q: %v\n%s", read, err, out)
				}
			}
			maildir := filepath.Join(d, "root/var/vmail/a.example/box/Maildir")
			err = os.RemoveAll(maildir)
			for ended := time.Now().Add(20 * time.Second); err != nil && time.Now().Before(ended); err = os.RemoveAll(maildir) {
				time.Sleep(20 * time.Millisecond) // Dovecot may write an index there still
			}
			if err != nil {
				t.Fatal(err)
			}

			inside := lab.Client{Addr: listen, Local: insider}
			if rep, err := inside.Send(t.Context(), "me@a.example", []string{"friend@foreign.test"}, "Subject: x\n\nx\n"); err != nil || rep.Code != 250 {
				t.Error(rep, err)
			}
			if line := r.until(t, "friend@foreign.test"); !strings.HasPrefix(line, "sent from 127.0.0.11 as a.example: ") {
				t.Errorf("said %q", line)
			}
			for to, want := range map[string]int{"x@b.example": 450, "x@foreign.test": 550} {
				if rep, err := (lab.Client{Addr: listen}).Rcpt(t.Context(), "you@sender.test", to); err != nil || rep.Code != want {
					t.Errorf("%s: %v, %v; want %d", to, rep, err, want)
				}
			}

			if err := r.cmd.Process.Signal(syscall.SIGINT); err != nil {
				t.Fatal(err)
			}
			for range r.lines { // to its end
			}
			if err := r.cmd.Wait(); err != nil {
				t.Errorf("ended with %v", err)
			}
			if c, err := net.Dial("tcp", listen); err == nil {
				_ = c.Close()
				t.Error("somebody listens still")
			}
			if after := listing(t, filepath.Join(d, "root")); after != before {
				t.Errorf("files below the root:\n%s\nwere\n%s", after, before)
			}
		})
	}
}

// listing is what stands below dir, with owner and mode, but for Exim's log.
func listing(t *testing.T, dir string) string {
	t.Helper()
	var b strings.Builder
	err := filepath.Walk(dir, func(p string, info os.FileInfo, err error) error {
		if err != nil {
			return err
		}
		if strings.HasSuffix(p, filepath.Dir(files.Debian.EximLog())) {
			return filepath.SkipDir
		}
		st := info.Sys().(*syscall.Stat_t)
		fmt.Fprintln(&b, p, info.Mode(), st.Uid, st.Gid, info.Size())
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestMakeMailSaysWhatIsMissing(t *testing.T) {
	bin := programs(t)
	d := data(t, bin, 0)
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = taken.Close() }()
	edited := data(t, bin, 0)
	conf := filepath.Join(edited, "root/etc/exim4/exim4.conf")
	if err := os.WriteFile(conf, []byte("mine = 1\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		uid          int
		data, listen string
		want         string
	}{
		"not root":            {4711, "data", "", "needs root"},
		"no make run":         {0, filepath.Join(d, "none"), "", "start `make run` first"},
		"name for an address": {0, d, "localhost:2525", "SMTP_LISTEN is \"localhost:2525\""},
		"port taken":          {0, d, taken.Addr().String(), taken.Addr().String() + ": address already in use"},
		"other configuration": {0, edited, "", "it was left as it is"},
	} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			cmd := exec.CommandContext(ctx, filepath.Join(bin, "mail"))
			cmd.Dir = "/"
			cmd.Env = append(environment(t, c.listen), "DATA="+c.data)
			cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(c.uid), Gid: uint32(c.uid)}}
			out, err := cmd.CombinedOutput()
			if err == nil || !strings.Contains(string(out), c.want) || !strings.HasPrefix(string(out), "make mail: ") {
				t.Errorf("%v: %s", err, out)
			}
		})
	}
}
