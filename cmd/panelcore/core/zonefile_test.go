package core

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/miekg/dns"
)

// checkZone has BIND's checker read a zone, and returns what it reads.
func checkZone(t *testing.T, name, text string) string {
	t.Helper()
	program, err := exec.LookPath("named-checkzone")
	if err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal("named-checkzone is not installed: apt-get install bind9-utils")
		}
		t.Skip("named-checkzone is not installed")
	}
	path := filepath.Join(t.TempDir(), "zone")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	var complaints bytes.Buffer
	cmd := exec.Command(program, "-D", "-k", "fail", "-n", "fail", name, path)
	cmd.Stderr = &complaints
	out, err := cmd.Output()
	if err != nil {
		t.Errorf("named-checkzone: %v\n%s%s\n%s", err, complaints.String(), out, text)
	}
	return string(out)
}

func TestZoneFileIsTakenByBIND(t *testing.T) {
	key := "v=DKIM1; k=rsa; p=" + strings.Repeat("MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8A", 12)
	odd := `quote " backslash \ \100 semicolon ; @ $ORIGIN ( ) ё ` + strings.Repeat("ы", 300)
	rs := []record{
		{name: "example.com", typ: "A", ttl: 300, value: "192.0.2.1"},
		{name: "example.com", typ: "TXT", ttl: 300, value: "v=spf1 mx -all"},
		{name: "example.com", typ: "TXT", ttl: 60, value: odd},
		{name: "example.com", typ: "TXT", ttl: 7200, value: odd, module: "toy"},
		{name: "k._domainkey.example.com", typ: "TXT", ttl: 300, value: key},
		{name: "example.com", typ: "MX", ttl: 300, value: "10 mail.example.com"},
		{name: "mail.example.com", typ: "AAAA", ttl: 300, value: "2001:db8::1"},
		{name: "*.example.com", typ: "MX", ttl: 300, value: "10 mail.example.com"},
		{name: "www.example.com", typ: "CNAME", ttl: 300, value: "example.com"},
		{name: "away.example.com", typ: "NS", ttl: 300, value: "ns.other.example"},
		{name: "_sip._tcp.example.com", typ: "SRV", ttl: 300, value: "0 5 5060 mail.example.com"},
		{name: "example.com", typ: "CAA", ttl: 300, value: `0 issue "letsencrypt.org; validationmethods=dns-01"`},
	}
	z := &zone{name: "example.com", serial: 2030010100, server: "ns.example.com", mailbox: "the.master@example.com"}
	text, err := renderZone(z, rs, nameservers{names: []string{"ns1.panel.example", "ns.example.com"}, ips: []string{"192.0.2.7", "2001:db8::7"}})
	if err != nil {
		t.Fatal(err)
	}
	read := checkZone(t, "example.com", text)
	values := map[string][]string{}
	p := dns.NewZoneParser(strings.NewReader(read), "", "")
	for rr, ok := p.Next(); ok; rr, ok = p.Next() {
		line := strings.TrimPrefix(rr.String(), rr.Header().String())
		if txt, is := rr.(*dns.TXT); is {
			for _, s := range txt.Txt {
				if b, err := packed(s); err != nil || len(b) > maxString {
					t.Errorf("a string of %d bytes", len(b))
				}
			}
			line = joined(t, txt)
		}
		where := rr.Header().Name + " " + dns.TypeToString[rr.Header().Rrtype]
		values[where] = append(values[where], line)
		if where == "example.com. TXT" && rr.Header().Ttl != 60 {
			t.Errorf("TTL %d in a set whose shortest is 60", rr.Header().Ttl)
		}
	}
	if err := p.Err(); err != nil {
		t.Fatal(err)
	}
	for where, want := range map[string][]string{
		"example.com. SOA":              {`ns.example.com. the\.master.example.com. 2030010100 10800 1800 1209600 3600`},
		"example.com. NS":               {"ns.example.com.", "ns1.panel.example."},
		"ns.example.com. A":             {"192.0.2.7"},
		"ns.example.com. AAAA":          {"2001:db8::7"},
		"example.com. TXT":              {"v=spf1 mx -all", odd},
		"k._domainkey.example.com. TXT": {key},
		"*.example.com. MX":             {"10 mail.example.com."},
		"example.com. CAA":              {`0 issue "letsencrypt.org; validationmethods=dns-01"`},
		"_sip._tcp.example.com. SRV":    {"0 5 5060 mail.example.com."},
		"www.example.com. CNAME":        {"example.com."},
		"away.example.com. NS":          {"ns.other.example."},
		"mail.example.com. AAAA":        {"2001:db8::1"},
		"example.com. MX":               {"10 mail.example.com."},
	} {
		if got := strings.Join(values[where], "|"); got != strings.Join(want, "|") {
			t.Errorf("%s: BIND reads %q, want %q", where, got, want)
		}
	}
}

// packed returns the bytes of one string of a TXT record as the library keeps it.
func packed(s string) ([]byte, error) {
	b := make([]byte, 1024)
	m := &dns.TXT{Hdr: dns.RR_Header{Name: ".", Rrtype: dns.TypeTXT, Class: dns.ClassINET}, Txt: []string{s}}
	n, err := dns.PackRR(m, b, 0, nil, false)
	if err != nil {
		return nil, err
	}
	return b[12:n], nil // after the root's name, ten bytes of header and the length
}

func joined(t testing.TB, txt *dns.TXT) string {
	t.Helper()
	var all []byte
	for _, s := range txt.Txt {
		b, err := packed(s)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, b...)
	}
	return string(all)
}

func TestNameServerInTheZoneNeedsAnAddress(t *testing.T) {
	z := &zone{name: "example.com", serial: 1}
	if _, err := renderZone(z, nil, nameservers{names: []string{"ns.example.com"}}); err == nil {
		t.Error("a zone that no server would load was written")
	}
	text, err := renderZone(z, nil, nameservers{names: []string{"ns.example.com", "ns.other.example"}})
	if err != nil {
		t.Fatal(err)
	}
	checkZone(t, "example.com", text)
	text, err = renderZone(z, []record{{name: "ns.example.com", typ: "A", ttl: 60, value: "192.0.2.9"}}, nameservers{names: []string{"ns.example.com"}, ips: []string{"192.0.2.1"}})
	if err != nil || strings.Contains(text, "192.0.2.1") {
		t.Errorf("%v: the address that stands there is not the one that counts:\n%s", err, text)
	}
	checkZone(t, "example.com", text)
}

// FuzzRecord: what parseValue accepts is read back from the file as it was.
func FuzzRecord(f *testing.F) {
	for _, typ := range personTypes {
		for _, v := range []string{"192.0.2.1", "::1", "10 mail.example.com", "0 .", "0 5 5060 sip.example.com", `0 issue "ca.example"`, `a "b" \ ; \034`, "host.example", "ё", "a\nb", "$INCLUDE /etc/passwd", "0 issue ;"} {
			f.Add(typ, "x.example.com", v)
		}
	}
	f.Fuzz(func(t *testing.T, typ, name, value string) {
		name, ok := parseOwner(name, typ, true)
		parsed, wrong := parseValue(typ, value)
		if !ok || wrong != "" {
			return
		}
		if again, wrong := parseValue(typ, parsed); wrong != "" || again != parsed {
			t.Fatalf("%s %q is %q, and that is %q %s", typ, value, parsed, again, wrong)
		}
		rr, err := record{name: name, typ: typ, ttl: 60, value: parsed}.rr()
		if err != nil {
			t.Fatal(err)
		}
		line := rr.String()
		if strings.ContainsAny(line, "\n\r") {
			t.Fatalf("%q has a line break", line)
		}
		p := dns.NewZoneParser(strings.NewReader(line+"\n"), "", "")
		back, ok := p.Next()
		if !ok || p.Err() != nil {
			t.Fatalf("%q is not read: %v", line, p.Err())
		}
		if _, more := p.Next(); more {
			t.Fatalf("%q is more than one record", line)
		}
		if txt, is := back.(*dns.TXT); is && joined(t, txt) != parsed {
			t.Fatalf("%q is read as %q", parsed, joined(t, txt))
		}
		if !dns.IsDuplicate(rr, back) {
			t.Fatalf("%s is read as %s", rr, back)
		}
		b := make([]byte, 64<<10)
		if _, err := dns.PackRR(rr, b, 0, nil, false); err != nil {
			t.Fatalf("%q cannot be sent: %v", line, err)
		}
	})
}
