package files_test

import (
	"fmt"
	"net/textproto"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"maildomain/module/files"
	"maildomain/module/mail"
	"maildomain/tests/lab"
)

// filtered are the settings of a domain whose names are boxes and whose other names
// are thrown away, with the named filters on.
func filtered(on ...string) []string {
	lines := []string{active, "defaction: ignore"}
	for _, f := range []string{"greylist", "spamassassin", "avcheck"} {
		state := "off"
		for _, o := range on {
			if o == f {
				state = "on"
			}
		}
		lines = append(lines, f+": "+state)
	}
	return lines
}

// letterOf is a letter with that in it.
func letterOf(words ...string) string {
	return "From: " + stranger + "\nSubject: a test\nX-Spam-Flag: NO\nX-Spam-Score: -100\n\n" + strings.Join(words, "\n") + "\n"
}

// judges are the filters of a test, some of them.
type judges struct{ postgrey, spamd, clamd *lab.Filter }

// putFilters tells Exim of the filters that there are, with more settings.
func putFilters(t *testing.T, root string, j judges, more ...string) {
	t.Helper()
	set := map[string]any{}
	for key, f := range map[string]*lab.Filter{"postgrey": j.postgrey, "spamd": j.spamd, "clamd": j.clamd} {
		if f != nil {
			set[key] = f
		}
	}
	for _, m := range more {
		key, value, _ := strings.Cut(m, ": ")
		set[key] = value
	}
	lab.PutFilters(t, root, set)
}

func sent(t *testing.T, x *lab.Exim, to, text string) string {
	t.Helper()
	r, err := x.Send(limited(t), stranger, to, text)
	if err != nil {
		t.Fatalf("%s: %v", to, err)
	}
	if r.Code == 250 && r.To == "." {
		return "taken"
	}
	return replyLine(r)
}

const (
	hasVirus  = "550 5.7.1 the letter holds a virus: " + lab.VirusName
	isSpam    = "550 5.7.1 the letter looks like spam"
	isGrey    = "451 4.7.1 greylisted, try again later"
	isBlack   = "550 5.7.1 mail from this sender is not wanted here"
	isOther   = "451 4.5.3 other filters than the first recipient's, send separately"
	noScanner = "451 4.7.1 the virus scanner gives no answer, try again later"
	noSpamd   = "451 4.7.1 the spam filter gives no answer, try again later"
)

func TestVirusIsRefusedWhereTheDomainHasItOn(t *testing.T) {
	t.Run("IPv4", func(t *testing.T) { virusIsRefused(t, lab.StartClamd(t)) })
	t.Run("IPv6", func(t *testing.T) {
		lab.NeedIPv6(t)
		virusIsRefused(t, lab.StartClamdOn(t, "::1"))
	})
}

func virusIsRefused(t *testing.T, clamd *lab.Filter) {
	x, root := start(t, map[string][]string{
		"on.example":    filtered("avcheck"),
		"off.example":   filtered(),
		"leads.example": action("redirect", "x@on.example"),
	}, lab.Options{})
	putFilters(t, root, judges{clamd: clamd})
	for _, c := range []struct{ to, text, want string }{
		{"x@on.example", lab.Virus, hasVirus},
		{"x@on.example", "nothing", "taken"},
		{"x@off.example", lab.Virus, "taken"},
		{"x@leads.example", lab.Virus, hasVirus},
		{"x@leads.example", "nothing", "taken"},
	} {
		if got := sent(t, x, c.to, letterOf(c.text)); got != c.want {
			t.Errorf("%s: %s, want %s", c.to, got, c.want)
		}
	}
	clamd.Kill()
	if got := sent(t, x, "x@on.example", letterOf("nothing")); got != noScanner {
		t.Errorf("scanner down: %s", got)
	}
	if got := sent(t, x, "x@off.example", letterOf("nothing")); got != "taken" {
		t.Errorf("scanner down, domain without: %s", got)
	}
	putFilters(t, root, judges{clamd: clamd}, "virus_down: pass")
	if got := sent(t, x, "x@on.example", letterOf("nothing")); got != "taken" {
		t.Errorf("scanner down, to pass: %s", got)
	}
	if err := clamd.Start(limited(t)); err != nil {
		t.Fatal(err)
	}
	if got := sent(t, x, "x@on.example", letterOf(lab.Virus)); got != hasVirus {
		t.Errorf("scanner back: %s", got)
	}
	putFilters(t, root, judges{})
	if got := sent(t, x, "x@on.example", letterOf(lab.Virus)); got != "taken" {
		t.Errorf("no scanner: %s", got)
	}
	if p, err := x.PanicLog(); err != nil || strings.Count(p, "\n") != strings.Count(p, "malware acl condition") {
		t.Errorf("panic log: %v\n%s", err, p)
	}
}

// Beyond MaxFileSize clamd says that all is well and has not looked: no such letter passes.
func TestLetterThatTheScannerDoesNotLookAtDoesNotPass(t *testing.T) {
	clamd := lab.StartClamd(t, "StreamMaxLength 10M", "MaxFileSize 1M")
	told := mail.DefaultFilters()
	told.Clamd, _ = mail.ParseFilterAddr(clamd.Addr)
	told.ClamdStream = clamdIn(t, "StreamMaxLength 10M\nMaxFileSize 1M\n")
	root := lab.NewRoot(t)
	lab.PutDomain(t, root, "on.example", filtered("avcheck")...)
	putFilters(t, root, judges{clamd: clamd}, "clamd_size: "+told.Lines()["clamd_size"])
	x := lab.Start(t, root, lab.Options{})
	padding := slices.Repeat([]string{strings.Repeat("x", 99)}, 20_000)
	for want, words := range map[string][]string{
		"552 5.3.4 the letter is too large to be scanned for viruses": append([]string{lab.Virus}, padding...),
		hasVirus: append([]string{lab.Virus}, padding[:9_000]...),
	} {
		if got := sent(t, x, "x@on.example", letterOf(words...)); got != want {
			t.Errorf("%d lines: %s, want %s", len(words), got, want)
		}
	}
}

// clamdIn is what a server's clamd takes, by its configuration.
func clamdIn(t *testing.T, conf string) int64 {
	t.Helper()
	root := lab.NewRoot(t)
	for _, dir := range []string{"usr/sbin", "etc/clamav"} {
		if err := os.MkdirAll(filepath.Join(root, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	lab.Put(t, root, "usr/sbin/clamd", "")
	lab.Put(t, root, "etc/clamav/clamd.conf", conf)
	tree, err := files.OpenTree(root, files.Debian)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tree.Close() }()
	found, err := tree.FindFilters()
	if err != nil {
		t.Fatal(err)
	}
	return found.ClamdStream
}

// A letter that clamd never takes is no letter for another time.
func TestLetterThatIsTooLargeForTheScannerIsAnsweredForGood(t *testing.T) {
	lab.NeedDovecot(t)
	clamd := lab.StartClamd(t, "StreamMaxLength 1M")
	told := mail.DefaultFilters()
	told.Clamd, _ = mail.ParseFilterAddr(clamd.Addr)
	told.ClamdStream = 1 << 20
	size := "clamd_size: " + told.Lines()["clamd_size"]
	root := lab.NewRoot(t)
	lab.PutDomain(t, root, "on.example", filtered("avcheck")...)
	lab.PutDomain(t, root, "off.example", filtered()...)
	lab.PutBoxes(t, root, "on.example", lab.Box{Name: "post"})
	putFilters(t, root, judges{clamd: clamd}, size)
	x := lab.Start(t, root, lab.Options{Dovecot: true})
	const tooLarge = "552 5.3.4 the letter is too large to be scanned for viruses"
	line := strings.Repeat("x", 99)
	large := slices.Repeat([]string{line}, 20_000)
	for _, c := range []struct {
		to    string
		words []string
		want  string
	}{
		{"post@on.example", large, tooLarge},
		{"post@on.example", append(large[:9_000:9_000], "just not."), "taken"},
		{"post@on.example", append(large[:9_000:9_000], lab.Virus), hasVirus},
		{"x@off.example", large, "taken"},
	} {
		if got := sent(t, x, c.to, letterOf(c.words...)); got != c.want {
			t.Errorf("%d lines to %s: %s, want %s", len(c.words), c.to, got, c.want)
		}
	}
	r, err := person(t, x, "post@on.example").Send(limited(t), "post@on.example", []string{"friend@foreign.test"}, "From: post@on.example\n\n"+strings.Join(large, "\n")+"\n")
	if err != nil || replyLine(r) != tooLarge {
		t.Errorf("sent by a person: %s, %v", replyLine(r), err)
	}
	inbox(t, x, "post@on.example", 1)
	putFilters(t, root, judges{clamd: clamd}, size, "virus_down: pass")
	if got := sent(t, x, "post@on.example", letterOf(large...)); got != "taken" {
		t.Errorf("to pass: %s", got)
	}
	for _, l := range inbox(t, x, "post@on.example", 2) {
		if strings.Contains(l, "X-Virus-Status: not scanned\r\n") == strings.Contains(l, "just not.") {
			t.Errorf("a letter of %d bytes: %.600s", len(l), l)
		}
	}
	if log, err := x.Log(); err != nil || strings.Count(log, " refused on.example") != 1 {
		t.Errorf("counted: %v\n%s", err, log)
	}
	noFault(t, x)
}

func TestGreylistingPutsOffTheFirstAttempt(t *testing.T) {
	grey := lab.StartPostgrey(t, 4*time.Second) // it counts whole ones
	lab.NeedDovecot(t)
	root := lab.NewRoot(t)
	lab.PutDomain(t, root, "on.example", filtered("greylist")...)
	lab.PutDomain(t, root, "off.example", filtered()...)
	lab.PutBoxes(t, root, "on.example", lab.Box{Name: "on", Greylist: true, Aliases: []string{"alias"}}, lab.Box{Name: "off"})
	lab.PutBoxes(t, root, "off.example", lab.Box{Name: "on", Greylist: true})
	putFilters(t, root, judges{postgrey: grey})
	x := lab.Start(t, root, lab.Options{Dovecot: true})
	for to, want := range map[string]string{
		"on@on.example": isGrey, "alias@on.example": isGrey, "on+tag@on.example": isGrey, "any@on.example": isGrey,
		"off@on.example": taken, "on@off.example": taken, "any@off.example": taken,
	} {
		if r := ask(t, x, to); replyLine(r) != want {
			t.Errorf("%s: %s, want %s", to, replyLine(r), want)
		}
	}
	for range 2 {
		if r := ask(t, x, "soon@on.example"); replyLine(r) != isGrey {
			t.Errorf("too soon: %s", replyLine(r))
		}
	}
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(100 * time.Millisecond) {
		r := ask(t, x, "on@on.example")
		if r.Code == 250 {
			break
		}
		if time.Now().After(end) {
			t.Fatalf("never taken: %s", replyLine(r))
		}
	}
	grey.Kill()
	if r := ask(t, x, "another@on.example"); r.Code != 250 {
		t.Errorf("postgrey is down: %s", replyLine(r))
	}
	noPanic(t, x)
}

func TestListsOfDomainAndServer(t *testing.T) {
	clamd, grey := lab.StartClamd(t), lab.StartPostgrey(t, time.Minute)
	x, root := start(t, map[string][]string{"on.example": filtered("greylist", "avcheck"), "else.example": filtered("greylist")}, lab.Options{})
	putFilters(t, root, judges{clamd: clamd, postgrey: grey})
	list := func(domain string, entries ...string) {
		t.Helper()
		var n mail.Name
		if domain != "" {
			n, _ = mail.ParseName(domain)
		}
		var ls []mail.Listed
		for _, e := range entries {
			word, text, _ := strings.Cut(e, " ")
			s, ok := mail.ParseSender(text)
			if !ok {
				t.Fatalf("entry %q", text)
			}
			ls = append(ls, mail.Listed{Domain: n, List: mail.List(word), Sender: s})
		}
		f := files.Debian.ListFile(n, ls)
		lab.Put(t, root, f.Path, string(f.Body))
	}
	from := func(sender, client, to string) string {
		t.Helper()
		r, err := lab.Client{Addr: x.Addr(), Local: client}.Rcpt(limited(t), sender, to)
		if err != nil {
			t.Fatal(err)
		}
		return replyLine(r)
	}
	list("on.example", "white friend@w.test", "black w.test", "white 127.9.0.0/16", "black 127.9.9.0/24", "white 127.9.9.9", "black foe@elsewhere.test", "white o'neil+x%y@w.test")
	list("", "black spam.test", "white good.test", "black 127.8.8.8", "white w.test", "white foe@elsewhere.test")
	for _, c := range []struct{ sender, client, to, want string }{
		{stranger, "", "x@on.example", isGrey},
		{"friend@w.test", "", "x@on.example", taken},
		{"Friend@W.Test", "", "x@on.example", taken},
		{"o'neil+x%y@w.test", "", "x@on.example", taken},
		{"friendx@w.test", "", "x@on.example", isBlack},
		{"friend@ww.test", "", "x@on.example", isGrey},
		{"friend@x.w.test", "", "x@on.example", isGrey},
		{"anybody@w.test", "", "x@else.example", taken},
		{"foe@elsewhere.test", "", "x@on.example", isBlack}, // the domain's word before the server's
		{"foe@elsewhere.test", "", "x@else.example", taken},
		{stranger, "127.9.1.1", "x@on.example", taken},
		{stranger, "127.9.9.1", "x@on.example", isBlack},
		{stranger, "127.9.9.9", "x@on.example", taken},
		{stranger, "127.9.1.1", "x@else.example", isGrey},
		{"a@spam.test", "127.9.9.9", "x@on.example", taken},
		{"a@spam.test", "", "x@on.example", isBlack},
		{"a@good.test", "", "x@on.example", taken},
		{stranger, "127.8.8.8", "x@on.example", isBlack},
		{stranger, "127.8.8.9", "x@on.example", isGrey},
		{"", "127.8.8.8", "x@else.example", isBlack},
		{"", "", "x@on.example", isGrey},
	} {
		if got := from(c.sender, c.client, c.to); got != c.want {
			t.Errorf("from <%s> at %q to %s: %s, want %s", c.sender, c.client, c.to, got, c.want)
		}
	}
	if r, err := x.Send(limited(t), "friend@w.test", "x@on.example", letterOf(lab.Virus)); err != nil || replyLine(r) != hasVirus {
		t.Errorf("a white sender's virus: %s, %v", replyLine(r), err)
	}
	noPanic(t, x)
}

// What people send is scanned where their domain or one that gets it has that on; it
// is not greylisted, and nobody is asked to send it in parts.
func TestWhatPeopleSendIsScannedWhole(t *testing.T) {
	lab.NeedDovecot(t)
	clamd, grey := lab.StartClamd(t), lab.StartPostgrey(t, time.Minute)
	root := lab.NewRoot(t)
	for d, on := range map[string][]string{"on.example": {"avcheck", "greylist"}, "off.example": nil} {
		lab.PutDomain(t, root, d, filtered(on...)...)
		lab.PutBoxes(t, root, d, lab.Box{Name: "post", Greylist: true})
	}
	putFilters(t, root, judges{clamd: clamd, postgrey: grey})
	x := lab.Start(t, root, lab.Options{Dovecot: true})
	for _, c := range []struct {
		login string
		to    []string
		words string
		want  string
	}{
		{"post@on.example", []string{"friend@foreign.test"}, lab.Virus, hasVirus},
		{"post@on.example", []string{"friend@foreign.test"}, "plain", "250 OK"},
		{"post@off.example", []string{"friend@foreign.test"}, lab.Virus, "250 OK"},
		{"post@off.example", []string{"post@off.example"}, lab.Virus, "250 OK"},
		{"post@off.example", []string{"post@off.example", "post@on.example", "friend@foreign.test"}, lab.Virus, hasVirus},
		{"post@off.example", []string{"post@off.example", "post@on.example", "friend@foreign.test"}, "plain", "250 OK"},
	} {
		r, err := person(t, x, c.login).Send(limited(t), c.login, c.to, "From: "+c.login+"\nSubject: x\n\n"+c.words+"\n")
		if err != nil || !strings.HasPrefix(replyLine(r), c.want) {
			t.Errorf("%s to %q: %s, %v, want %s", c.login, c.to, replyLine(r), err, c.want)
		}
	}
	noFault(t, x)
}

// Within one session the verdict on a letter is not that on the next.
func TestVerdictIsOfOneLetter(t *testing.T) {
	clamd := lab.StartClamd(t)
	x, root := start(t, map[string][]string{"on.example": filtered("avcheck"), "off.example": filtered()}, lab.Options{})
	putFilters(t, root, judges{clamd: clamd})
	answers := inSession(t, x,
		[2]string{"x@on.example", lab.Virus}, [2]string{"x@on.example", "plain"}, [2]string{"x@off.example", lab.Virus}, [2]string{"x@on.example", lab.Virus})
	for i, want := range []string{"550 5.7.1", "250 OK", "250 OK", "550 5.7.1"} {
		if !strings.HasPrefix(answers[i], want) {
			t.Errorf("letter %d: %s, want %s", i, answers[i], want)
		}
	}
	// What was found in one letter is not said of the next that nobody could scan.
	send := strangersSession(t, x)
	for _, alive := range []bool{true, false, true} {
		want, words := hasVirus, lab.Virus
		if !alive {
			want, words = noScanner, "plain"
			clamd.Kill()
		}
		if got := send("x@on.example", words); !strings.HasPrefix(got, want) {
			t.Errorf("alive %v: %s, want %s", alive, got, want)
		}
		if !alive {
			if err := clamd.Start(limited(t)); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// inSession sends letters one after the other in one session, and returns the last
// answer to each.
func inSession(t *testing.T, x *lab.Exim, letters ...[2]string) (answers []string) {
	t.Helper()
	send := strangersSession(t, x)
	for _, l := range letters {
		answers = append(answers, send(l[0], l[1]))
	}
	return answers
}

// strangersSession begins a session of a stranger in which letters can be sent; the last answer to each is
// returned.
func strangersSession(t *testing.T, x *lab.Exim) (send func(to, words string) string) {
	t.Helper()
	c, err := textproto.Dial("tcp", x.Addr())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	say := func(line string) string {
		t.Helper()
		if line != "" {
			if err := c.PrintfLine("%s", line); err != nil {
				t.Fatal(err)
			}
		}
		code, text, err := c.ReadResponse(0)
		if code == 0 {
			t.Fatal(line, err)
		}
		return fmt.Sprintf("%d %s", code, text)
	}
	say("")
	say("EHLO client.test")
	return func(to, words string) string {
		t.Helper()
		say("MAIL FROM:<" + stranger + ">")
		say("RCPT TO:<" + to + ">")
		say("DATA")
		return say("Subject: x\r\n\r\n" + words + "\r\n.")
	}
}
