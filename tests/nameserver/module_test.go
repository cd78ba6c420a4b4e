package nameserver_test

import (
	"bytes"
	"context"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"maildomain/module"
	"maildomain/module/files"
	"maildomain/module/mail"
	"maildomain/module/store"
	"maildomain/rpc"
	"maildomain/rpc/wire"
	"maildomain/tests/lab"
	"maildomain/tests/nameserver"
	"maildomain/tests/sink"
)

// A house is the whole of it: the module over a real database, a real Exim and a real
// Dovecot over its files, a real BIND that takes its records, and its clock.
type house struct {
	*module.Module
	t    *testing.T
	exim *lab.Exim
	bind *nameserver.Server
	at   netip.Addr // whose port 53 is the name server
	out  string     // where letters go that leave

	written int // letters

	mu  sync.Mutex
	now time.Time
}

var admin = module.Actor{User: "admin", Level: mail.LevelAdmin, Lang: "en"}

// password is that of every mailbox.
const password = "correct horse battery"

func newHouse(t *testing.T, zones ...string) *house {
	t.Helper()
	lab.NeedRoot(t)
	lab.NeedDovecot(t)
	h := &house{t: t, now: time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)}
	h.at = relay(t, func() netip.AddrPort { return h.bind.Addr() })
	opts := nameserver.Options{Zones: []nameserver.Zone{{Name: "host.example", Records: fmt.Sprintf("@ NS ns\nns A %s\nmx A 127.0.0.1\n", h.at)}}}
	for _, z := range zones {
		name, records, _ := strings.Cut(z, "\n")
		opts.Zones = append(opts.Zones, nameserver.Zone{Name: name, Records: "@ NS ns.host.example.\n" + records})
	}
	h.bind = nameserver.Start(t, opts)

	root := lab.NewRoot(t)
	tree, err := files.OpenTree(root, files.Debian)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = tree.Close() })
	if _, err := tree.MakeDirectories(); err != nil {
		t.Fatal(err)
	}
	db, err := store.Open(t.Context(), filepath.Join(root, files.Debian.State, "maildomain.db"), h.clock)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	own := []netip.Addr{netip.MustParseAddr("127.0.0.1")}
	h.Module = module.New(db, tree, module.Panel{
		User: func(_ context.Context, name string) (mail.User, bool, error) {
			return mail.User{Name: name, Level: mail.LevelAdmin, Active: true, IPs: own}, true, nil
		},
		UsersOf: func(context.Context, string) ([]mail.User, error) { return nil, nil },
		Params: func(context.Context) (mail.Params, error) {
			return mail.Params{MailHost: "mx.host.example", ServerIPs: own, DMARCTemplate: "v=DMARC1; p=reject; adkim=s; aspf=s"}, nil
		},
	}, zerolog.Nop())
	if _, err := h.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	set := map[string]string{
		"dns": "server", "dns_server": h.bind.Addr().String(), "dns_key": nameserver.KeyName, "dns_secret": nameserver.KeySecret, "resolvers": h.at.String(),
	}
	if err := h.EditSettings(t.Context(), admin, mail.SettingsEditOf(set)); err != nil {
		t.Fatal(err)
	}
	h.out = lab.FreeAddrs(t, 1)[0] // somebody listens there now and then
	h.exim = lab.Start(t, root, lab.Options{Dovecot: true, Sink: h.out})
	return h
}

func (h *house) clock() time.Time {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.now = h.now.Add(time.Millisecond)
	return h.now
}

func (h *house) pass(d time.Duration) {
	h.t.Helper()
	h.mu.Lock()
	h.now = h.now.Add(d)
	h.mu.Unlock()
	if err := h.Pending(h.t.Context()); err != nil {
		h.t.Fatal(err)
	}
}

// open has a domain with one mailbox, post, whose letters are signed.
func (h *house) open(name string, settings map[string]string) {
	h.t.Helper()
	values := map[string]string{"name": name, "dkim": "on", "dmarc": "on"}
	for k, v := range settings {
		values[k] = v
	}
	if _, err := h.AddDomain(h.t.Context(), admin, mail.EditOf(values)); err != nil {
		h.t.Fatal(err)
	}
	secret := password
	if _, err := h.AddMailbox(h.t.Context(), admin, mail.MailboxEdit{Name: "post", Domain: name, Passwd: &secret}); err != nil {
		h.t.Fatal(err)
	}
}

// write sends a letter as a person does. Nobody takes it yet: it waits in our queue.
func (h *house) write(from, subject string) {
	h.t.Helper()
	tls, err := h.exim.TLS()
	if err != nil {
		h.t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(h.t.Context(), time.Minute)
	defer cancel()
	c := lab.Client{Addr: h.exim.Services().Submission, TLS: tls, Login: from, Password: password}
	text := "From: Somebody <" + from + ">\nTo: friend@foreign.test\nSubject: " + subject + "\n\nHello  there,\n.a dot\n\nand the end.\n\n"
	if r, err := c.Send(ctx, from, []string{"friend@foreign.test"}, text); err != nil || r.Code != 250 {
		h.t.Fatalf("%+v, %v", r, err)
	}
	h.written++
	for ctx.Err() == nil { // Exim tries at once, and is not to do so any more when somebody listens
		log, err := h.exim.Log()
		if err != nil {
			h.t.Fatal(err)
		}
		if strings.Count(log, " == friend@foreign.test ") >= h.written {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	h.t.Fatal("the letter does not wait")
}

// arrive lets every letter leave that waits, and is those that arrive: at least n.
func (h *house) arrive(n int) [][]byte {
	h.t.Helper()
	s, err := sink.Listen(h.out, nil)
	if err != nil {
		h.t.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	ctx, cancel := context.WithTimeout(h.t.Context(), time.Minute)
	defer cancel()
	if err := h.exim.RunQueue(ctx); err != nil {
		h.t.Fatal(err)
	}
	ls, err := s.Wait(ctx, n)
	if err != nil {
		h.t.Fatal(err)
	}
	var texts [][]byte
	for _, l := range ls {
		texts = append(texts, l.Data)
	}
	return texts
}

// authenticated has python3-authheaders judge a letter by DKIM and DMARC.
const authenticated = `import sys
from authheaders import authenticate_message
r = str(authenticate_message(sys.stdin.buffer.read(), "lab", spf=False))
print(r)
sys.exit(0 if "dkim=pass" in r and "dmarc=pass" in r else 1)`

// permitted has python3-spf judge an address.
const permitted = `import sys, spf
r = spf.check2(i=sys.argv[1], s=sys.argv[2], h=sys.argv[3])
print(r)
sys.exit(0 if r[0] == "pass" else 1)`

// What the module publishes makes what Exim signs right, to four programs that know
// nothing of us.
func TestLettersOfTheModulesDomainsAreAuthentic(t *testing.T) {
	domains := map[string]map[string]string{
		"short.example": {"dkim_keylen": "1024"},
		"long.example":  {"dkim_keylen": "2048"},
		"both.example":  {"dkim_keylen": "2048", "dkim_ed25519": "on"},
	}
	h := newHouse(t, "short.example", "long.example", "both.example")
	for name, set := range domains {
		h.open(name, set)
	}
	h.pass(time.Minute)
	for name, set := range domains {
		t.Run(name, func(t *testing.T) {
			h.write("post@"+name, "one of "+name)
			text := h.arrive(1)[0]
			tampered := bytes.Replace(text, []byte("Hello"), []byte("Hallo"), 1)
			signatures := 1
			if set["dkim_ed25519"] == "on" {
				signatures = 2
			}
			checkSignatures(t, h.at, name, text, signatures, true)
			checkSignatures(t, h.at, name, tampered, signatures, false)
			for i := range signatures {
				checkProgram(t, h.at, text, true, "/usr/bin/dkimverify", "python3-dkim", "--index", strconv.Itoa(i))
				checkProgram(t, h.at, tampered, false, "/usr/bin/dkimverify", "python3-dkim", "--index", strconv.Itoa(i))
			}
			checkPython(t, h.at, text, true, authenticated, "authheaders")
			checkPython(t, h.at, tampered, false, authenticated, "authheaders")
			checkPython(t, h.at, nil, true, permitted, "spf", "127.0.0.1", "post@"+name, "mx.host.example")
			checkPython(t, h.at, nil, false, permitted, "spf", "192.0.2.7", "post@"+name, "mx.host.example")
		})
	}
}

// checkPython runs a program over a Python module that Debian's package brings.
func checkPython(t *testing.T, at netip.Addr, text []byte, ok bool, program, needs string, args ...string) {
	t.Helper()
	if !pythonHas(needs) {
		missing := "the Debian package python3-" + needs + " is not installed"
		if inCI() {
			t.Fatal(missing)
		}
		t.Log(missing)
		return
	}
	checkProgram(t, at, text, ok, "/usr/bin/python3", "python3", append([]string{"-c", program}, args...)...)
}

// A letter is verified at the moment it is read: at once, or days after it left us, or
// having waited in our own queue while its key was turned over.
func TestEveryLetterVerifiesThroughAWholeRotation(t *testing.T) {
	const name = "turned.example"
	h := newHouse(t, name)
	h.open(name, map[string]string{"dkim_keylen": "1024", "dkim_ed25519": "on"})
	h.pass(time.Minute)
	var unread [][]byte // arrived, and not looked at yet by who got them
	var selectors []string
	verify := func(texts ...[]byte) {
		t.Helper()
		for _, text := range texts {
			checkSignatures(t, h.at, name, text, 2, true)
		}
	}
	sent := 0
	send := func() {
		h.t.Helper()
		sent++
		h.write("post@"+name, "letter "+strconv.Itoa(sent))
	}
	leave := func(n int) {
		t.Helper()
		texts := h.arrive(n)
		if len(texts) != n {
			t.Fatalf("%d letters left, want %d", len(texts), n)
		}
		verify(texts...)
		unread = append(unread, texts...)
		for _, text := range texts {
			for _, s := range []string{"dkim", "dkim-20261122"} {
				if bytes.Contains(text, []byte("s="+s+";")) {
					selectors = append(selectors, s)
				}
			}
		}
	}
	send()
	leave(1)
	send() // under the old key
	h.bind.Stop()
	if done, err := h.RotateKeys(t.Context(), admin, []string{name}); err != nil || done[0].Err != nil {
		t.Fatal(done, err)
	}
	send()
	h.pass(time.Second) // the new record is nowhere
	send()
	h.bind.Restart()
	verify(unread...)
	leave(3) // signed as they leave: by the old key still
	send()
	h.pass(time.Hour) // handed over, and
	h.pass(time.Hour) // seen
	verify(unread...)
	send()
	leave(2) // one of them waited through the switch
	if got := strings.Join(selectors, " "); got != "dkim dkim dkim dkim dkim-20261122 dkim-20261122" {
		t.Errorf("signed by %s", got)
	}
	for range 7 { // somebody reads his letters once a day
		h.pass(24 * time.Hour)
		verify(unread...)
	}
	old := unread[:4]
	h.pass(24 * time.Hour)
	for _, text := range old {
		checkSignatures(t, h.at, name, text, 2, false) // and the old key is gone for good
	}
	verify(unread[4:]...)
}

func inCI() bool { return os.Getenv("CI") != "" }

func pythonHas(name string) bool {
	return exec.Command("/usr/bin/python3", "-c", "import "+name).Run() == nil
}

// call is a call of the panel's, in a language, as an administrator.
func (h *house) call(lang, function string, pairs ...string) any {
	h.t.Helper()
	params := map[string]string{}
	for i := 0; i < len(pairs); i += 2 {
		params[pairs[i]] = pairs[i+1]
	}
	answer, err := rpc.NewMethods(h.Module).Call(h.t.Context(), wire.Call{Func: function, Params: params, Session: wire.Session{User: "admin", Level: "admin", Lang: lang}})
	if err != nil {
		h.t.Fatalf("%s: %v", function, err)
	}
	return answer
}

// report is a check of a domain: what each language says, by why.
func (h *house) report(lang, name string) (states, said map[string]string, values map[string]string) {
	h.t.Helper()
	r := h.call(lang, "emaildomain.check", "elid", name).(wire.Report)
	states, said = map[string]string{}, map[string]string{}
	for _, e := range r.Elems {
		k := e["name"] + " " + e["type"]
		states[k], said[k] = e["status"], e["said"]
		for field, v := range e {
			if v == "" && field != "proposal" && field != "seen" || strings.Contains(v, "__") {
				h.t.Errorf("%s: %s %s: %q", lang, k, field, v)
			}
		}
	}
	return states, said, r.Values
}

func TestAnswersAndReportsSayHowRecordsStand(t *testing.T) {
	h := newHouse(t, "right.example", "wrong.example\n@ TXT \"v=spf1 ip4:192.0.2.99 -all\"")
	would := h.call("en", "emaildomain.edit", "name", "right.example", "dkim", "on", "dmarc", "on", "sok", "ok", "dry_run", "on").(wire.Report)
	dns := 0
	for _, e := range would.Elems {
		if e["what"] == "dns" {
			dns++
			if e["before"] != "" || e["after"] == "" {
				t.Errorf("%v", e)
			}
		}
	}
	if dns != 4 || would.Values["dns"] != "4" {
		t.Errorf("a dry run would change %d records, and says %s", dns, would.Values["dns"])
	}
	published := func(name string) (states []string) {
		for _, r := range h.call("en", "emaildomain.edit", "name", name, "dkim", "on", "dmarc", "on", "sok", "ok").(wire.OK).DNS {
			states = append(states, strings.TrimSuffix(r.Name, "."+name)+" "+r.Type+" "+r.State)
		}
		return states
	}
	if got := strings.Join(published("right.example"), ", "); got != "right.example MX published, right.example TXT published, dkim._domainkey TXT published, _dmarc TXT published" {
		t.Error(got)
	}
	if got := strings.Join(published("wrong.example"), ", "); got != "wrong.example MX published, wrong.example TXT wrong, dkim._domainkey TXT published, _dmarc TXT published" {
		t.Error(got)
	}
	h.pass(time.Minute)

	check := func(what, name, record, want string) {
		t.Helper()
		english, en, values := h.report("en", name)
		russian, ru, _ := h.report("ru", name)
		if english[record] != want || russian[record] != want || en[record] == ru[record] || values[want] == "0" {
			t.Errorf("%s: %s, %q in English, %q in Russian; %v", what, english[record], en[record], ru[record], values)
		}
	}
	check("ours", "right.example", "dkim._domainkey.right.example TXT", "right")
	check("theirs", "wrong.example", "wrong.example TXT", "wrong")
	for _, e := range h.call("en", "emaildomain").(wire.List).Elems {
		if want := map[string]string{"right.example": "", "wrong.example": "dns"}[e["name"]]; e["note"] != want {
			t.Errorf("note of %s: %q, want %q", e["name"], e["note"], want)
		}
	}
	zone := h.call("en", "emaildomain.dns.zone", "elid", "right.example").(wire.Report).Values["zone"]
	if strings.Count(zone, "\tIN\t") != 4 {
		t.Error(zone)
	}
	h.bind.Stop()
	if states, said, values := h.report("ru", "right.example"); states["right.example MX"] != "unknown" || said["right.example MX"] == "" || values["unknown"] == "0" {
		t.Errorf("with nobody to ask: %v %v %v", states, said, values)
	}
}
