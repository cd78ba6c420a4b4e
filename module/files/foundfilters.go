package files

import (
	"bufio"
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"maildomain/module/mail"
)

// FindFilters says which filters are installed below the root, and where they listen as
// their own configuration has it. Whether they run is another matter.
func (t *Tree) FindFilters() (mail.FoundFilters, error) {
	f := mail.FoundFilters{ClamdStream: mail.DefaultClamdStream}
	var err error
	for _, each := range []struct {
		programs []string
		conf     []string
		read     func([]byte) string
		to       *mail.FilterAddr
	}{
		{[]string{"usr/sbin/postgrey", "usr/bin/postgrey"}, []string{"etc/default/postgrey", "etc/sysconfig/postgrey"}, postgreyAddr, &f.Postgrey},
		{[]string{"usr/sbin/spamd", "usr/bin/spamd"}, []string{"etc/default/spamd", "etc/sysconfig/spamassassin"}, spamdAddr, &f.Spamd},
		{[]string{"usr/sbin/clamd"}, []string{"etc/clamav/clamd.conf", "etc/clamd.d/scan.conf"}, clamdAddr, &f.Clamd},
	} {
		if !slices.ContainsFunc(each.programs, t.installed) {
			continue
		}
		var text []byte
		for _, name := range each.conf {
			if text, err = t.small(name); err != nil {
				return f, fmt.Errorf("find out where a filter listens: %w", err)
			}
			if text != nil {
				break
			}
		}
		*each.to, _ = mail.ParseFilterAddr(each.read(text)) // what Exim cannot ask is not there
		if each.to == &f.Clamd {
			f.ClamdStream = clamdTakes(text)
		}
	}
	if network, path := f.Clamd.Dial(); network == "unix" && path != "" && !t.readsSpool("clamav") && !t.readsSpool("clamscan") {
		f.Clamd = mail.FilterAddr{}
	}
	return f, nil
}

func (t *Tree) installed(program string) bool {
	_, err := t.root.Lstat(program)
	return err == nil
}

// mostConf is the most of a configuration that is read.
const mostConf = 1 << 20

// small is what is in a file of somebody's configuration; nil where there is none.
func (t *Tree) small(name string) ([]byte, error) {
	f, err := t.root.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	b, err := io.ReadAll(io.LimitReader(f, mostConf))
	return b, errors.Join(err, f.Close())
}

// readsSpool says that a user is in Exim's group. By its socket clamd is told the name
// of a file, which it opens itself.
func (t *Tree) readsSpool(user string) bool {
	b, err := t.small("etc/group")
	if err != nil {
		return false
	}
	for line := range strings.Lines(string(b)) {
		field := strings.Split(strings.TrimSpace(line), ":")
		if len(field) == 4 && field[0] == t.layout.EximGroup {
			return slices.Contains(strings.Split(field[3], ","), user)
		}
	}
	return false
}

// setting is the value of a variable in a file of them, as /etc/default has it.
func setting(text []byte, name string) string {
	value := ""
	for s := bufio.NewScanner(bytes.NewReader(text)); s.Scan(); {
		if v, is := strings.CutPrefix(strings.TrimSpace(s.Text()), name+"="); is {
			value = strings.Trim(v, `"'`)
		}
	}
	return value
}

// postgreyAddr is what --inet or --unix says (postgrey(8)).
func postgreyAddr(text []byte) string {
	words := strings.Fields(strings.ReplaceAll(setting(text, "POSTGREY_OPTS"), "=", " "))
	for i, w := range words[:max(0, len(words)-1)] {
		switch w {
		case "--unix", "-u":
			return words[i+1]
		case "--inet", "-i":
			return onLoopback(words[i+1])
		}
	}
	return "127.0.0.1:10023"
}

// spamdAddr is what the options say (spamd(8p)).
func spamdAddr(text []byte) string {
	options := setting(text, "OPTIONS")
	if options == "" {
		options = setting(text, "SPAMDOPTIONS")
	}
	host, port, own := "localhost", "783", ""
	words := strings.Fields(strings.ReplaceAll(options, "=", " "))
	for i, w := range words[:max(0, len(words)-1)] {
		switch next := words[i+1]; w {
		case "--socketpath":
			return next
		case "-p", "--port":
			port = next
		case "-i", "--listen", "--listen-ip", "--ip-address":
			var err error
			if host, own, err = net.SplitHostPort(next); err != nil {
				host, own = strings.Trim(next, "[]"), ""
			}
			if _, err := netip.ParseAddr(host); err != nil {
				host = "localhost" // a name, "*", or the next option
			}
		}
	}
	return onLoopback(net.JoinHostPort(host, cmp.Or(own, port)))
}

// clamdSettings are what clamd.conf(5) sets, the first time.
func clamdSettings(text []byte) map[string]string {
	set := map[string]string{}
	for line := range strings.Lines(string(text)) {
		if key, value, is := strings.Cut(strings.TrimSpace(line), " "); is && set[key] == "" {
			set[key] = strings.Trim(strings.TrimSpace(value), `"`)
		}
	}
	return set
}

// clamdAddr is where clamd listens: by TCP it is sent the letter itself, so that comes
// first.
func clamdAddr(text []byte) string {
	set := clamdSettings(text)
	if port := set["TCPSocket"]; port != "" {
		host := set["TCPAddr"]
		if _, err := netip.ParseAddr(host); err != nil {
			host = "localhost"
		}
		return onLoopback(net.JoinHostPort(host, port))
	}
	return set["LocalSocket"]
}

// clamdTakes is how large a letter clamd takes and looks at, in bytes; 0: any. By TCP it
// breaks off beyond StreamMaxLength; which way it is asked, mailparam may say otherwise
// than its configuration. Beyond MaxFileSize and MaxScanSize it does not look, and says
// that all is well, unless AlertExceedsMax has it say otherwise.
func clamdTakes(text []byte) (most int64) {
	set := clamdSettings(text)
	limits := []int64{clamdSize(set["StreamMaxLength"], mail.DefaultClamdStream)}
	if !slices.Contains([]string{"yes", "true", "1"}, strings.ToLower(set["AlertExceedsMax"])) {
		limits = append(limits, clamdSize(set["MaxFileSize"], 100<<20), clamdSize(set["MaxScanSize"], 400<<20))
	}
	for _, n := range limits {
		if n > 0 && (most == 0 || n < most) {
			most = n
		}
	}
	return most
}

// clamdSize is a size as clamd.conf has it; 0: any.
func clamdSize(number string, otherwise int64) int64 {
	number = strings.ToLower(number)
	unit := 0
	for i, u := range []string{"k", "m", "g"} {
		if n, is := strings.CutSuffix(number, u); is {
			number, unit = n, 10*(i+1)
		}
	}
	n, err := strconv.ParseUint(number, 10, 32)
	if err != nil {
		return otherwise // clamd would not start with nonsense
	}
	return int64(n) << unit
}

// onLoopback is "port", "host:port" or "localhost:port" with an address: this machine's
// own where it stands for all of them.
func onLoopback(s string) string {
	if a, err := netip.ParseAddrPort(s); err == nil && a.Addr().IsUnspecified() && a.Addr().Is6() {
		return netip.AddrPortFrom(netip.IPv6Loopback(), a.Port()).String()
	} else if err == nil && !a.Addr().IsUnspecified() {
		return s
	}
	host, port, is := strings.Cut(s, ":")
	if !is {
		host, port = "", s
	}
	if host == "" || host == "localhost" || host == "*" || host == "0.0.0.0" {
		host = "127.0.0.1"
	}
	return host + ":" + port
}
