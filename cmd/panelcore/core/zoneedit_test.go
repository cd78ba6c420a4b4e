package core_test

import (
	"database/sql"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"maildomain/cmd/panelcore/core"
	"maildomain/cmd/panelcore/internal/paneltest"
)

func TestPeopleEditZones(t *testing.T) {
	p := paneltest.Start(t, paneltest.Options{})
	const com = "example.com"
	hand(t, p, com, put(com, "TXT", 300, "v=spf1 mx -all")) // record 5
	for _, c := range []struct {
		name, function string
		pairs          []string
		want           string
	}{
		{"list", "zone", nil, "name=example.com owner=user1 records=3 serial=2030010101 passed=on"},
		{"show", "zone.edit", []string{"elid", com}, "name=example.com\nowner=user1\nserver=\nmailbox=\nserial=2030010101\n"},
		{"make", "zone.edit", []string{"name", "Пример.example.", "owner", "user2", "server", "NS.other.example", "mailbox", "dns.master@other.example", "sok", "ok"}, "OK\n"},
		{"it is there", "zone.edit", []string{"elid", "xn--e1afmkfd.example"}, "name=xn--e1afmkfd.example\nowner=user2\nserver=ns.other.example\nmailbox=dns.master@other.example\n"},
		{"taken", "zone.edit", []string{"name", com, "sok", "ok"}, "ERROR exists(name)"},
		{"no name", "zone.edit", []string{"sok", "ok"}, "ERROR value(name)"},
		{"path", "zone.edit", []string{"name", "../x", "sok", "ok"}, "ERROR value(name)"},
		{"long name", "zone.edit", []string{"name", strings.Repeat("a.", 121), "sok", "ok"}, "ERROR value(name)"},
		{"bad owner", "zone.edit", []string{"elid", com, "owner", "nosuch", "sok", "ok"}, "ERROR value(owner)"},
		{"bad server", "zone.edit", []string{"elid", com, "server", "a b", "sok", "ok"}, "ERROR value(server)"},
		{"bad mailbox", "zone.edit", []string{"elid", com, "mailbox", "a b@c", "sok", "ok"}, "ERROR value(mailbox)"},
		{"no such zone", "zone.edit", []string{"elid", "example.co", "sok", "ok"}, "ERROR missed(elid)"},

		{"records", "zone.record", []string{"elid", com}, "id=1 name=example.com type=A ttl=3600 value=127.0.0.11 module= own=on\n"},
		{"records of none", "zone.record", []string{"elid", "nosuch"}, "ERROR missed(elid)"},
		{"empty form", "zone.record.edit", []string{"plid", com}, "name=example.com\ntype=A\nttl=3600\nvalue=\n"},
		{"relative name", "zone.record.edit", []string{"plid", com, "name", "ftp", "type", "A", "value", "192.0.2.4", "sok", "ok"}, "OK\n"},
		{"whole name", "zone.record.edit", []string{"plid", com, "name", "FTP.example.com.", "type", "AAAA", "ttl", "60", "value", "2001:db8::4", "sok", "ok"}, "OK\n"},
		{"wildcard", "zone.record.edit", []string{"plid", com, "name", "*.dev", "type", "CNAME", "value", "www.example.com", "sok", "ok"}, "OK\n"},
		{"change", "zone.record.edit", []string{"plid", com, "elid", "1", "ttl", "7200", "sok", "ok"}, "OK\n"},
		{"it changed", "zone.record.edit", []string{"plid", com, "elid", "1"}, "name=example.com\ntype=A\nttl=7200\nvalue=127.0.0.11\n"},
		{"through another zone", "zone.record.edit", []string{"plid", "example.net", "elid", "1", "sok", "ok"}, "ERROR missed(elid)"},
		{"a module's", "zone.record.edit", []string{"plid", com, "elid", "5", "value", "x", "sok", "ok"}, "ERROR access(elid)"},
		{"outside", "zone.record.edit", []string{"plid", com, "name", "x.example.net.", "type", "A", "value", "192.0.2.4", "sok", "ok"}, "ERROR value(name)"},
		{"NS of the zone", "zone.record.edit", []string{"plid", com, "name", "@", "type", "NS", "value", "ns.example", "sok", "ok"}, "ERROR value(name)"},
		{"same again", "zone.record.edit", []string{"plid", com, "name", "ftp", "type", "A", "value", "192.0.2.4", "sok", "ok"}, "ERROR exists(value)"},
		{"alias beside", "zone.record.edit", []string{"plid", com, "name", "ftp", "type", "CNAME", "value", com, "sok", "ok"}, "ERROR value(type)"},
		{"beside an alias", "zone.record.edit", []string{"plid", com, "name", "www", "type", "A", "value", "192.0.2.4", "sok", "ok"}, "ERROR value(type)"},
		{"alias of the zone", "zone.record.edit", []string{"plid", "xn--e1afmkfd.example", "name", "@", "type", "CNAME", "value", com, "sok", "ok"}, "ERROR value(type)"},
		{"second SPF", "zone.record.edit", []string{"plid", com, "name", "@", "type", "TXT", "value", "v=spf1 -all", "sok", "ok"}, "ERROR value(value)"},
		{"type", "zone.record.edit", []string{"plid", com, "name", "@", "type", "SOA", "value", "x", "sok", "ok"}, "ERROR value(type)"},
		{"TTL", "zone.record.edit", []string{"plid", com, "name", "@", "ttl", "59", "value", "192.0.2.4", "sok", "ok"}, "ERROR value(ttl)"},
		{"value", "zone.record.edit", []string{"plid", com, "name", "@", "type", "A", "value", "1.2.3", "sok", "ok"}, "ERROR value(value)"},
		{"line break", "zone.record.edit", []string{"plid", com, "name", "@", "type", "TXT", "value", "x\n@ A 1", "sok", "ok"}, "ERROR value(value)"},
		{"no such zone", "zone.record.edit", []string{"plid", "nosuch", "name", "@", "value", "192.0.2.4", "sok", "ok"}, "ERROR missed(plid)"},
		{"delete", "zone.record.delete", []string{"plid", com, "elid", "1, 5"}, "ERROR access(elid): 5: "},
		{"through another zone", "zone.record.delete", []string{"plid", "example.net", "elid", "2"}, "ERROR missed(elid)"},
		{"none", "zone.record.delete", []string{"plid", com}, "ERROR missed(elid)"},
		{"delete zones", "zone.delete", []string{"elid", "xn--e1afmkfd.example, nosuch"}, "ERROR missed(elid): nosuch: "},
	} {
		got := p.As(t, "admin", c.function, c.pairs...)
		if !strings.HasPrefix(got, c.want) {
			t.Errorf("%s: got %q, want %q", c.name, got, c.want)
		}
		if p.As(t, "reseller1", c.function, c.pairs...) != "ERROR access(func): this is not open to you\n" {
			t.Errorf("%s: a reseller may too", c.name)
		}
	}
	file := zoneFile(t, p, com)
	for at, want := range map[string]string{
		"example.com A": "", "example.com TXT": `300 "v=spf1 mx -all"`, "ftp.example.com A": "3600 192.0.2.4", "ftp.example.com AAAA": "60 2001:db8::4",
		"*.dev.example.com CNAME": "3600 www.example.com.", "example.com NS": "3600 ns1.panel.example.|3600 ns2.panel.example.",
	} {
		name, typ, _ := strings.Cut(at, " ")
		if got := strings.Join(records(file, name, typ), "|"); got != want {
			t.Errorf("%s: the file has %s, want %s", at, got, want)
		}
	}
	if files, err := os.ReadDir(filepath.Join(p.Data, "zones")); err != nil || len(files) != 2 {
		t.Errorf("%v: files %v", err, files)
	}
}

func TestZonesFollowTheParameters(t *testing.T) {
	p := paneltest.Start(t, paneltest.Options{})
	before := serial(t, p, "example.com")
	admin(t, p, "param.edit", "nameservers", "ns9.panel.example")
	if got := records(zoneFile(t, p, "example.com"), "example.com", "NS"); len(got) != 1 || got[0] != "3600 ns9.panel.example." || serial(t, p, "example.com") <= before {
		t.Errorf("%q, serial %s after %s", got, serial(t, p, "example.com"), before)
	}
	admin(t, p, "zone.edit", "elid", "example.com", "server", "ns8.panel.example")
	if got := p.As(t, "admin", "param.edit", "nameservers", "", "sok", "ok"); !strings.HasPrefix(got, "ERROR value(nameservers): the zone example.net ") {
		t.Error(got)
	}
}

// restart opens the data directory of a stopped panel once more.
func restart(t *testing.T, p *paneltest.Panel) {
	t.Helper()
	c, err := core.Open(t.Context(), core.Options{Data: p.Data, Now: p.Clock.Now})
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Close(); err != nil {
		t.Error(err)
	}
}

func TestZoneFilesAreMendedAtTheStart(t *testing.T) {
	p := paneltest.Start(t, paneltest.Options{Drop: map[string]string{}})
	p.Stop(t)
	want := zoneFile(t, p, "example.com")
	dir := filepath.Join(p.Data, "zones")
	net, theirs, gone := filepath.Join(dir, "example.net.zone"), filepath.Join(dir, "theirs.zone"), filepath.Join(dir, "gone.zone")
	if err := os.Remove(net); err != nil {
		t.Fatal(err)
	}
	head, _, _ := strings.Cut(want, "\n")
	for path, text := range map[string]string{theirs: "$TTL 1\n", gone: head + "\nx"} {
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	restart(t, p)
	if got := zoneFile(t, p, "example.com"); got != want {
		t.Errorf("a file that was right was written anew:\n%s", got)
	}
	if got := records(zoneFile(t, p, "example.net"), "example.net", "A"); len(got) != 1 {
		t.Errorf("the missing file: %q", got)
	}
	if _, err := os.Stat(theirs); err != nil {
		t.Error("somebody else's file:", err)
	}
	if _, err := os.Stat(gone); !os.IsNotExist(err) {
		t.Error("the file of a zone that is gone stays:", err)
	}
}

func TestDatabaseOfTheFirstVersionIsRead(t *testing.T) {
	p := paneltest.Start(t, paneltest.Options{Drop: map[string]string{}})
	p.Stop(t)
	db, err := sql.Open("sqlite", filepath.Join(p.Data, "panelcore.db"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := db.Exec(`DROP TABLE zone; DROP TABLE record; DROP TABLE passed; DROP TABLE unpassed; DROP TABLE certificate; DROP TABLE wake;
		DELETE FROM param WHERE name LIKE 'dns_update%'; PRAGMA user_version = 1`); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	restart(t, p)
	restart(t, p)
}
