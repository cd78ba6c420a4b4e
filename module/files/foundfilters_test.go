package files

import (
	"os"
	"path/filepath"
	"testing"

	"maildomain/module/mail"
)

// What Debian's packages write, and what an administrator makes of it.
func TestFiltersAreFoundWhereTheirConfigurationSays(t *testing.T) {
	const clamSocket = "# a comment\nLocalSocket /var/run/clamav/clamd.ctl\nUser clamav\n"
	for name, c := range map[string]struct {
		put  map[string]string
		want [3]string // postgrey, spamd, clamd
	}{
		"nothing":               {nil, [3]string{}},
		"configuration alone":   {map[string]string{"etc/default/postgrey": `POSTGREY_OPTS="--inet=10023"`, "etc/clamav/clamd.conf": clamSocket}, [3]string{}},
		"postgrey of Debian":    {map[string]string{"usr/sbin/postgrey": "", "etc/default/postgrey": "# x\nPOSTGREY_OPTS=\"--inet=10023\"\n"}, [3]string{"127.0.0.1:10023"}},
		"postgrey without":      {map[string]string{"usr/sbin/postgrey": ""}, [3]string{"127.0.0.1:10023"}},
		"postgrey elsewhere":    {map[string]string{"usr/sbin/postgrey": "", "etc/default/postgrey": `POSTGREY_OPTS="--delay=60 --inet=127.0.0.2:60000 --max-age=9"`}, [3]string{"127.0.0.2:60000"}},
		"postgrey by a socket":  {map[string]string{"usr/sbin/postgrey": "", "etc/default/postgrey": `POSTGREY_OPTS="--unix=/run/postgrey/socket"`}, [3]string{"/run/postgrey/socket"}},
		"postgrey, nonsense":    {map[string]string{"usr/sbin/postgrey": "", "etc/default/postgrey": `POSTGREY_OPTS="--unix=/run/${x}"`}, [3]string{}},
		"spamd of Debian":       {map[string]string{"usr/sbin/spamd": "", "etc/default/spamd": `OPTIONS="--create-prefs --max-children 5 --helper-home-dir"`}, [3]string{"", "127.0.0.1:783"}},
		"spamd elsewhere":       {map[string]string{"usr/sbin/spamd": "", "etc/default/spamd": `OPTIONS="-i 127.0.0.3 -p 7830"`}, [3]string{"", "127.0.0.3:7830"}},
		"spamd on IPv6":         {map[string]string{"usr/sbin/spamd": "", "etc/default/spamd": `OPTIONS="-i ::1"`}, [3]string{"", "[::1]:783"}},
		"spamd on IPv6, a port": {map[string]string{"usr/sbin/spamd": "", "etc/default/spamd": `OPTIONS="--listen=[::1]:7830"`}, [3]string{"", "[::1]:7830"}},
		"spamd on [IPv6]":       {map[string]string{"usr/sbin/spamd": "", "etc/default/spamd": `OPTIONS="-p 7830 -i [::1]"`}, [3]string{"", "[::1]:7830"}},
		"spamd on all IPv6":     {map[string]string{"usr/sbin/spamd": "", "etc/default/spamd": `OPTIONS="-i [::]:7830 -p 1"`}, [3]string{"", "[::1]:7830"}},
		"spamd on everything":   {map[string]string{"usr/sbin/spamd": "", "etc/default/spamd": `OPTIONS="-i --max-children 5 -p 7830"`}, [3]string{"", "127.0.0.1:7830"}},
		"spamd by a name":       {map[string]string{"usr/sbin/spamd": "", "etc/default/spamd": `OPTIONS="-i localhost:7830"`}, [3]string{"", "127.0.0.1:7830"}},
		"postgrey on all IPv4":  {map[string]string{"usr/sbin/postgrey": "", "etc/default/postgrey": `POSTGREY_OPTS="--inet=0.0.0.0:10023"`}, [3]string{"127.0.0.1:10023"}},
		"clamd on all IPv6":     {map[string]string{"usr/sbin/clamd": "", "etc/clamav/clamd.conf": "TCPAddr ::\nTCPSocket 3310\n"}, [3]string{"", "", "[::1]:3310"}},
		"postgrey on IPv6":      {map[string]string{"usr/sbin/postgrey": "", "etc/default/postgrey": `POSTGREY_OPTS="--inet=[::1]:10023"`}, [3]string{"[::1]:10023"}},
		"spamd by a socket":     {map[string]string{"usr/sbin/spamd": "", "etc/default/spamd": `OPTIONS="--socketpath=/run/spamd.sock"`}, [3]string{"", "/run/spamd.sock"}},
		"clamd it cannot read":  {map[string]string{"usr/sbin/clamd": "", "etc/clamav/clamd.conf": clamSocket, "etc/group": "Debian-exim:x:100:\nmail:x:8:clamav\n"}, [3]string{}},
		"clamd in Exim's group": {map[string]string{"usr/sbin/clamd": "", "etc/clamav/clamd.conf": clamSocket, "etc/group": "Debian-exim:x:100:dovecot,clamav\n"}, [3]string{"", "", "/var/run/clamav/clamd.ctl"}},
		"clamd by TCP":          {map[string]string{"usr/sbin/clamd": "", "etc/clamav/clamd.conf": clamSocket + "TCPSocket 3310\n"}, [3]string{"", "", "127.0.0.1:3310"}},
		"clamd by TCP6":         {map[string]string{"usr/sbin/clamd": "", "etc/clamav/clamd.conf": "TCPAddr ::1\nTCPSocket 3310\n"}, [3]string{"", "", "[::1]:3310"}},
	} {
		dir := t.TempDir()
		for p, text := range c.put {
			if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, p)), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(dir, p), []byte(text), 0o755); err != nil {
				t.Fatal(err)
			}
		}
		tree, err := OpenTree(dir, Debian)
		if err != nil {
			t.Fatal(err)
		}
		f, err := tree.FindFilters()
		if got := [3]string{f.Postgrey.String(), f.Spamd.String(), f.Clamd.String()}; err != nil || got != c.want {
			t.Errorf("%s: %q, %v, want %q", name, got, err, c.want)
		}
		if err := tree.Close(); err != nil {
			t.Error(err)
		}
	}
}

// As clamd 1.4 reads it: the first line counts.
func TestWhatClamdTakesIsRead(t *testing.T) {
	for text, want := range map[string]int64{
		"":                       100 << 20,
		"StreamMaxLength 25M\n":  25 << 20,
		"StreamMaxLength 0\n":    100 << 20,
		"StreamMaxLength 1000\n": 1000,
		"StreamMaxLength 2k\nStreamMaxLength 9M\n":            2 << 10,
		"#StreamMaxLength 1M\nStreamMaxLength \"3m\"\n":       3 << 20,
		"StreamMaxLength 5G":                                  100 << 20,
		"StreamMaxLength x\n":                                 100 << 20,
		"StreamMaxLength -1M\n":                               100 << 20,
		"MaxFileSize 1M\n":                                    1 << 20,
		"MaxScanSize 2M\n":                                    2 << 20,
		"StreamMaxLength 9M\nMaxFileSize 3M\nMaxScanSize 0\n": 3 << 20,
		"StreamMaxLength 9M\nMaxFileSize 3M\nMaxScanSize 2M\nAlertExceedsMax true\n": 9 << 20,
		"StreamMaxLength 0\nMaxFileSize 0\nMaxScanSize 0\n":                          0,
	} {
		if got := clamdTakes([]byte(text)); got != want {
			t.Errorf("%q: %d, want %d", text, got, want)
		}
	}
	tcp, _ := mail.ParseFilterAddr("127.0.0.1:3310")
	socket, _ := mail.ParseFilterAddr("/run/clamd.sock")
	for _, c := range []struct {
		at     mail.FilterAddr
		stream int64
		want   string
	}{{tcp, 25 << 20, "26148864"}, {tcp, 1000, "500"}, {tcp, 0, ""}, {socket, 25 << 20, "26148864"}, {mail.FilterAddr{}, 25 << 20, ""}} {
		f := mail.DefaultFilters()
		f.Clamd, f.ClamdStream = c.at, c.stream
		if got := f.Lines()["clamd_size"]; got != c.want {
			t.Errorf("%s takes %d: %s, want %s", c.at, c.stream, got, c.want)
		}
	}
}

// Of an address no character is left that means something to Exim.
func TestFilterAddressesAreWrittenAsEximReadsThem(t *testing.T) {
	for text, want := range map[string][2]string{
		"127.0.0.1:783":   {"127.0.0.1 783", "inet:127.0.0.1:783"},
		"[::1]:783":       {"::::1 783", "inet:[::1]:783"},
		"/run/x-1/a.sock": {"/run/x-1/a.sock", "/run/x-1/a.sock"},
	} {
		a, ok := mail.ParseFilterAddr(text)
		f := mail.DefaultFilters()
		f.Spamd, f.Postgrey = a, a
		if l := f.Lines(); !ok || l["spamd"] != want[0] || l["postgrey"] != want[1] {
			t.Errorf("%s: %q %q", text, l["spamd"], l["postgrey"])
		}
	}
	for _, bad := range []string{"", "x", "localhost:783", "127.0.0.1", "127.0.0.1:0", "0.0.0.0:783", "/", "/run/../x", "/run/a b", "/run/$x", "/run/a:b", "/run/a\n", "127.0.0.1:783\n", "/run/{", "[fe80::1%eth0]:25", "/run/a;b"} {
		if a, ok := mail.ParseFilterAddr(bad); ok || !a.IsZero() {
			t.Errorf("%q is %q", bad, a)
		}
	}
}
