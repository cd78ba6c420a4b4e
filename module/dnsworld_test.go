package module

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	wire "github.com/miekg/dns"

	"maildomain/module/mail"
	"maildomain/module/store"
	"maildomain/tests/nameserver"
)

// hostZone is that of the server's own names, and of the one name server that all
// zones of these tests have.
const hostZone = `
@ NS ns
ns A 192.0.2.53
mx A 192.0.2.1
mx A 192.0.2.2
mx AAAA 2001:db8::1
other A 192.0.2.1
other A 192.0.2.2
other AAAA 2001:db8::1
`

// A named is a world whose records go to a real BIND, which is asked too.
type named struct {
	*world
	bind *nameserver.Server
}

// newNamed serves zones, each "name" or "name\nrecords", and hands over to them.
func newNamed(t *testing.T, zones ...string) *named {
	t.Helper()
	opts := nameserver.Options{Zones: []nameserver.Zone{
		{Name: "host.example", Records: hostZone},
		{Name: "2.0.192.in-addr.arpa", Records: "@ NS ns.host.example.\n1 PTR mx.host.example.\n2 PTR mx.host.example.\n"},
	}}
	for _, z := range zones {
		name, records, _ := strings.Cut(z, "\n")
		opts.Zones = append(opts.Zones, nameserver.Zone{Name: name, Records: "@ NS ns.host.example.\nwww A 192.0.2.80\n" + records})
	}
	n := &named{bind: nameserver.Start(t, opts)}
	n.world = n.over(t, newWorld(t))
	n.set(t, "dns", "server", "dns_server", n.bind.Addr().String(), "dns_key", nameserver.KeyName, "dns_secret", nameserver.KeySecret,
		"resolvers", n.bind.Addr().String())
	return n
}

// over has a world ask the name server in the place of all others.
func (n *named) over(t *testing.T, w *world) *world {
	w.dial = func(ctx context.Context, network, address string) (net.Conn, error) {
		if address != n.bind.Addr().String() && address != "192.0.2.53:53" {
			t.Errorf("%s is asked, outside of the test", address)
			return nil, errors.New("no road leads there")
		}
		return new(net.Dialer).DialContext(ctx, network, n.bind.Addr().String())
	}
	return w
}

func (w *world) set(t *testing.T, pairs ...string) {
	t.Helper()
	values := map[string]string{}
	for i := 0; i < len(pairs); i += 2 {
		values[pairs[i]] = pairs[i+1]
	}
	if err := w.EditSettings(t.Context(), as("admin"), mail.SettingsEditOf(values)); err != nil {
		t.Fatal(err)
	}
}

// dnsEdit is an edit by the names of the form.
func dnsEdit(pairs ...string) mail.DomainEdit {
	values := map[string]string{}
	for i := 0; i < len(pairs); i += 2 {
		values[pairs[i]] = pairs[i+1]
	}
	return mail.EditOf(values)
}

func addSigned(t *testing.T, w *world, name string, pairs ...string) {
	t.Helper()
	if _, err := w.AddDomain(t.Context(), as("user1"), dnsEdit(append([]string{"name", name, "dkim", "on", "dkim_keylen", "1024"}, pairs...)...)); err != nil {
		t.Fatal(err)
	}
}

func pending(t *testing.T, w *world) {
	t.Helper()
	if err := w.Pending(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func follow(t *testing.T, w *world) {
	t.Helper()
	if err := w.Follow(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// records are what the name server has of a name, asked by other means than ours,
// texts joined.
func (n *named) records(t *testing.T, name string, typ uint16) (values []string) {
	t.Helper()
	q := new(wire.Msg)
	q.SetQuestion(wire.Fqdn(name), typ)
	c := wire.Client{Net: "tcp", Timeout: 5 * time.Second}
	answer, _, err := c.Exchange(q, n.bind.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	for _, rr := range answer.Answer {
		switch rr := rr.(type) {
		case *wire.TXT:
			values = append(values, strings.Join(rr.Txt, ""))
		case *wire.SOA:
			values = append(values, fmt.Sprint(rr.Serial))
		default:
			values = append(values, strings.TrimPrefix(rr.String(), rr.Header().String()))
		}
	}
	slices.Sort(values)
	return values
}

// edited is the zone changed by somebody else: these records taken away and added.
func (n *named) edited(t *testing.T, zone string, remove, add []string) {
	t.Helper()
	u := new(wire.Msg)
	u.SetUpdate(wire.Fqdn(zone))
	for _, part := range []struct {
		lines []string
		into  func([]wire.RR)
	}{{remove, u.Remove}, {add, u.Insert}} {
		for _, line := range part.lines {
			rr, err := wire.NewRR(line)
			if err != nil {
				t.Fatal(err)
			}
			part.into([]wire.RR{rr})
		}
	}
	u.SetTsig(nameserver.KeyName+".", wire.HmacSHA256, 300, time.Now().Unix())
	c := wire.Client{Net: "tcp", TsigSecret: map[string]string{nameserver.KeyName + ".": nameserver.KeySecret}}
	if answer, _, err := c.Exchange(u, n.bind.Addr().String()); err != nil || answer.Rcode != wire.RcodeSuccess {
		t.Fatal(answer, err)
	}
}

func (n *named) serial(t *testing.T, zone string) string {
	t.Helper()
	return strings.Join(n.records(t, zone, wire.TypeSOA), " ")
}

func (n *named) hasRecords(t *testing.T, name string, typ uint16, want ...string) {
	t.Helper()
	slices.Sort(want)
	if got := n.records(t, name, typ); !slices.Equal(got, want) {
		t.Errorf("%s %s: %q, want %q", name, wire.TypeToString[typ], got, want)
	}
}

// keysOf are the keys of a domain: "selector state, …".
func keysOf(t testing.TB, w *world, name string) string {
	t.Helper()
	var s []string
	for _, k := range keyRows(t, w, name) {
		s = append(s, k.Selector.String()+" "+string(k.State))
	}
	return strings.Join(s, ", ")
}

func keyRows(t testing.TB, w *world, name string) (keys []mail.SigningKey) {
	t.Helper()
	err := w.db.View(context.Background(), func(ctx context.Context, tx *store.Tx) (err error) {
		keys, err = tx.KeysOf(ctx, mail.StoredName(name))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return keys
}

func checkKeys(t testing.TB, w *world, name, want string) {
	t.Helper()
	if got := keysOf(t, w, name); got != want {
		t.Errorf("keys of %s: %s, want %s", name, got, want)
	}
}

// signsWith are the selectors that Exim reads for a domain.
func signsWith(t testing.TB, w *world, name string) string {
	t.Helper()
	b, err := os.ReadFile(w.settingsOf(name))
	if err != nil {
		t.Fatal(err)
	}
	for l := range strings.Lines(string(b)) {
		if v, ok := strings.CutPrefix(l, "dkim:"); ok {
			return strings.TrimSpace(v)
		}
	}
	return ""
}

// rowsOf are the values of a domain as the outbox has them: each state, and how many.
func rowsOf(t testing.TB, w *world, name string) map[mail.Handed]int {
	t.Helper()
	count := map[mail.Handed]int{}
	for _, r := range recordRows(t, w, name) {
		count[r.State]++
	}
	return count
}

func recordRows(t testing.TB, w *world, name string) (rows []store.RecordRow) {
	t.Helper()
	err := w.db.View(context.Background(), func(ctx context.Context, tx *store.Tx) (err error) {
		rows, err = tx.RecordsOf(ctx, mail.StoredName(name))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return rows
}

func checkRows(t testing.TB, w *world, name string, state mail.Handed, n int) {
	t.Helper()
	got := rowsOf(t, w, name)
	if n == 0 && len(got) == 0 || len(got) == 1 && got[state] == n {
		return
	}
	t.Errorf("rows of %s: %v, want %d %s\n%+v", name, got, n, state, recordRows(t, w, name))
}

func checkNote(t testing.TB, w *world, name, want string) {
	t.Helper()
	if got := domainOf(t, w, name).Note; got != want {
		t.Errorf("note of %s: %q, want %q", name, got, want)
	}
}
