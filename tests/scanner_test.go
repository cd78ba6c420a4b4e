package tests

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"maildomain/rpc/wire"
	"maildomain/tests/world"
)

// A scanner that is down is seen in health and in the list of who has it on, and is seen
// no longer when it is back: of itself, with nobody calling anything that asks it.
func TestScannerThatIsDownIsSeenUntilItIsBack(t *testing.T) {
	w := world.Start(t, world.Options{})
	dir, err := os.MkdirTemp("", "scanner") // the path of a socket is short
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	addr := filepath.Join(dir, "clamd.ctl")
	w.Must(t, "admin", "mailparam", "clamd", addr, "spamd", "off", "postgrey", "off", "sok", "ok")
	w.Must(t, "user1", "emaildomain.edit", "name", "on.example", "avcheck", "on", "sok", "ok")
	w.Must(t, "user1", "emaildomain.edit", "name", "off.example", "sok", "ok")
	until := func(state, status, note string) {
		t.Helper()
		for end := time.Now().Add(time.Minute); ; time.Sleep(100 * time.Millisecond) {
			h := health(t, w)
			notes := map[string]string{}
			for _, e := range w.Must(t, "user1", "emaildomain").Elems {
				notes[e["name"]] = e["note"]
			}
			if h.Filters["clamd"] == state && h.Status == status && notes["on.example"] == note && notes["off.example"] == "" {
				return
			}
			if time.Now().After(end) {
				t.Fatalf("health %+v, notes %v, want clamd %s and %s", h, notes, state, status)
			}
		}
	}
	until("down", "degraded", "filter_clamd")
	l, err := net.Listen("unix", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			if line, err := bufio.NewReader(c).ReadString('\n'); err == nil && line == "nPING\n" {
				_, _ = c.Write([]byte("PONG\n"))
			}
			_ = c.Close()
		}
	}()
	until("ok", "ok", "")
}

// health is what the running module says of itself, to another core.
func health(t *testing.T, w *world.World) (h wire.Health) {
	t.Helper()
	c, err := net.Dial("unix", filepath.Join(w.Data, "run/maildomain.sock"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	if err := c.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	if _, err := fmt.Fprintf(c, `{"jsonrpc":"2.0","id":"h","method":%q,"params":{}}`+"\n", wire.ModuleHealth); err != nil {
		t.Fatal(err)
	}
	for lines := json.NewDecoder(c); ; {
		var answer struct {
			ID     any
			Result *wire.Health
		}
		if err := lines.Decode(&answer); err != nil {
			t.Fatal(err)
		}
		if answer.ID == "h" && answer.Result != nil {
			return *answer.Result
		}
	}
}
