package lab

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"maildomain/module/files"
)

// root is a directory that setup has been run on, with settings files as given
// and the ready marker.
func root(t *testing.T, settings map[string]string) string {
	t.Helper()
	NeedRoot(t)
	dir := t.TempDir()
	r, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = r.Close() }()
	if _, err := files.Setup(t.Context(), r, files.Debian); err != nil {
		t.Fatal(err)
	}
	put := func(name, text string) {
		if err := r.WriteFile(name, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for name, text := range settings {
		put(filepath.Join(files.Debian.Domains(), name), "# maildomain 1: test\n"+text)
	}
	put(files.Debian.DomainIPs(), "# maildomain 1: test\n")
	put(files.Debian.Ready(), "")
	return dir
}

func TestTry(t *testing.T) {
	dir := root(t, map[string]string{"a.example": "state: active\ndefaction: error\n", "r.example": "state: active\ndefaction: redirect\nredirval: me@foreign.test\n"})
	t0 := time.Now()
	x := Start(t, dir, Options{})
	t.Log("started", time.Since(t0))
	t0 = time.Now()
	bt, err := x.Route(t.Context(), "x@a.example")
	t.Log(bt, err, time.Since(t0))
	t0 = time.Now()
	r, err := x.Rcpt(t.Context(), "s@foreign.test", "x@a.example")
	t.Log(r, err, time.Since(t0))
	t0 = time.Now()
	r, err = x.Send(t.Context(), "s@foreign.test", "x@r.example", "Subject: x\n\nhello\n")
	t.Log(r, err, time.Since(t0))
	l, err := x.Sink.Wait(t.Context(), 1)
	t.Logf("%+v %v %v", l, err, time.Since(t0))
	q, err := x.Queue(t.Context())
	t.Log(q, err)
	p, _ := x.PanicLog()
	t.Log(p)
	lg, _ := x.Log()
	t.Log(lg)
	for range 15 {
		t0 = time.Now()
		r, err := x.Rcpt(t.Context(), "s@foreign.test", "x@a.example")
		t.Log(r.Code, err, time.Since(t0))
	}
	t0 = time.Now()
	x.Stop()
	t.Log("stop", time.Since(t0))
}
