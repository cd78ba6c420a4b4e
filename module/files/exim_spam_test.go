package files_test

import (
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"maildomain/tests/lab"
)

// One spamd for these tests: it takes seconds to start.
func TestSpam(t *testing.T) {
	lab.NeedDovecot(t)
	spamd, clamd, grey := lab.StartSpamd(t), lab.StartClamd(t), lab.StartPostgrey(t, time.Second)
	t.Run("IsRefusedOrFiledAsJunkWhereDomainAndBoxHaveItOn", func(t *testing.T) { spamByDomainAndBox(t, spamd) })
	t.Run("StaysMarkedOnTheWayToTheVirusScanner", func(t *testing.T) { markedOnTheWay(t, spamd, clamd) })
	t.Run("RecipientsWithOtherFiltersGetALetterOfTheirOwn", func(t *testing.T) { recipientMix(t, spamd, clamd) })
	t.Run("FiltersKilledUnderLoadLoseNoLetterAndLetNoVirusPass", func(t *testing.T) { killUnderLoad(t, grey, spamd, clamd) })
}

func spamByDomainAndBox(t *testing.T, spamd *lab.Filter) {
	root := lab.NewRoot(t)
	lab.PutDomain(t, root, "on.example", filtered("spamassassin")...)
	lab.PutDomain(t, root, "off.example", filtered()...)
	lab.PutBoxes(t, root, "on.example", lab.Box{Name: "on", Spamassassin: true}, lab.Box{Name: "off"})
	lab.PutBoxes(t, root, "off.example", lab.Box{Name: "on", Spamassassin: true})
	putFilters(t, root, judges{spamd: spamd}, "spam_mark: 50", "spam_reject: 150")
	x := lab.Start(t, root, lab.Options{Dovecot: true})
	for _, c := range []struct{ to, words, want string }{
		{"on@on.example", lab.Spam, isSpam},
		{"any@on.example", lab.Spam, isSpam},
		{"on@on.example", lab.SpamLike, "taken"},
		{"on@on.example", "hello", "taken"},
		{"off@on.example", lab.Spam, "taken"},
		{"on@off.example", lab.Spam, "taken"},
	} {
		if got := sent(t, x, c.to, letterOf(c.words)); !strings.HasPrefix(got, c.want) {
			t.Errorf("%.10s to %s: %s, want %s", c.words, c.to, got, c.want)
		}
	}
	plain := inbox(t, x, "on@on.example", 1)[0]
	junk, err := x.Letters(limited(t), "on@on.example", lab.Secret, "Junk")
	if err != nil || len(junk) != 1 || !strings.Contains(junk[0], "X-Spam-Flag: YES\r\n") || !strings.Contains(junk[0], lab.SpamLike) {
		t.Errorf("junk: %q, %v", junk, err)
	}
	if strings.Contains(plain, "X-Spam-Flag") || strings.Contains(plain, "-100") || !strings.Contains(plain, "X-Spam-Score: ") {
		t.Errorf("a plain letter:\n%s", plain)
	}
	for _, login := range []string{"off@on.example", "on@off.example"} {
		if l := inbox(t, x, login, 1)[0]; strings.Contains(l, "X-Spam-") {
			t.Errorf("%s was not to be judged:\n%s", login, l)
		}
	}
	putFilters(t, root, judges{spamd: spamd}, "spam_mark: 500", "spam_reject: 20000")
	if got := sent(t, x, "on@on.example", letterOf(lab.Spam)); got != "taken" {
		t.Errorf("below the threshold: %s", got)
	}

	dead := &lab.Filter{Addr: nobody(t)}
	putFilters(t, root, judges{spamd: dead})
	if got := sent(t, x, "on@on.example", letterOf(lab.Spam)); got != "taken" {
		t.Errorf("spamd is down: %s", got)
	}
	ls := inbox(t, x, "on@on.example", 2)
	if !strings.Contains(strings.Join(ls, ""), "X-Spam-Status: not checked\r\n") {
		t.Errorf("spamd is down: %s", ls)
	}
	putFilters(t, root, judges{spamd: dead}, "spam_down: defer")
	if got := sent(t, x, "on@on.example", letterOf("hello")); got != noSpamd {
		t.Errorf("spamd is down, to defer: %s", got)
	}
	putFilters(t, root, judges{spamd: &lab.Filter{Addr: babbler(t)}}, "spam_down: defer")
	if got := sent(t, x, "on@on.example", letterOf("hello")); got != noSpamd {
		t.Errorf("spamd talks nonsense: %s", got)
	}
	if faults, err := x.Dovecot.Faults(); err != nil || len(faults) > 0 {
		t.Errorf("Dovecot's faults: %q, %v", faults, err)
	}
}

func markedOnTheWay(t *testing.T, spamd, clamd *lab.Filter) {
	root := lab.NewRoot(t)
	lab.PutDomain(t, root, "a.example", filtered("spamassassin")...)
	lab.PutDomain(t, root, "b.example", filtered("avcheck")...)
	lab.PutBoxes(t, root, "a.example", lab.Box{Name: "post", Spamassassin: true, Forward: []string{"post@b.example"}})
	lab.PutBoxes(t, root, "b.example", lab.Box{Name: "post"})
	putFilters(t, root, judges{spamd: spamd, clamd: clamd}, "spam_mark: 50", "spam_reject: 150")
	x := lab.Start(t, root, lab.Options{Dovecot: true, Relay: []string{"127.0.0.2"}})
	if got := sent(t, x, "post@a.example", letterOf(lab.SpamLike)); got != "taken" {
		t.Fatal(got)
	}
	if got := sent(t, x, "post@a.example", letterOf("hello")); got != "taken" {
		t.Fatal(got)
	}
	gateway := lab.Client{Addr: x.Addr(), Local: "127.0.0.2", Helo: "scan.invalid"}
	if r, err := gateway.Send(limited(t), stranger, []string{"post@b.example"}, letterOf("of a gateway")); err != nil || r.Code != 250 {
		t.Error(r, err)
	}
	plain := strings.Join(inbox(t, x, "post@b.example", 2), "")
	if strings.Contains(plain, "X-Spam-Flag") || strings.Contains(plain, "-100") || strings.Count(plain, "X-Spam-Score: ") != 1 {
		t.Errorf("plain letters:\n%s", plain)
	}
	for _, login := range []string{"post@a.example", "post@b.example"} {
		junk := junk(t, x, login, 1)[0]
		if strings.Count(junk, "X-Spam-Flag: YES\r\n") != 1 || strings.Contains(junk, "X-Spam-Flag: NO") || strings.Contains(junk, "-100") || !strings.Contains(junk, lab.SpamLike) {
			t.Errorf("%s: %s", login, junk)
		}
	}
	noFault(t, x)
}

// junk waits for n letters in the folder Junk of a box.
func junk(t *testing.T, x *lab.Exim, login string, n int) []string {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		l, err := x.Letters(limited(t), login, lab.Secret, "Junk")
		if err == nil && len(l) == n {
			return l
		}
		if time.Now().After(end) {
			t.Fatalf("junk of %s: %q, %v", login, l, err)
		}
	}
}

// nobody is an address where nothing listens.
func nobody(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	return l.Addr().String()
}

// babbler is an address where something answers that is no filter.
func babbler(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			_, _ = c.Write([]byte("SPAMD/1.1 99 EX_OOPS\r\nSpam: perhaps\r\n\r\n\x00\xff\r\n"))
			_ = c.(*net.TCPConn).CloseWrite()
			time.AfterFunc(time.Second, func() { _ = c.Close() })
		}
	}()
	return l.Addr().String()
}

// mixed are domains with every combination of the two scanners, and in the last one
// boxes that differ from their domain.
var mixed = map[string][]string{
	"none.example": nil, "spam.example": {"spamassassin"}, "virus.example": {"avcheck"},
	"both.example": {"spamassassin", "avcheck"}, "boxes.example": {"spamassassin", "avcheck"},
}

// recipientMix sends one letter to 20 recipients, as a mail server does: again for
// those that were put off.
func recipientMix(t *testing.T, spamd, clamd *lab.Filter) {
	root := lab.NewRoot(t)
	var all []string
	for d, on := range mixed {
		lab.PutDomain(t, root, d, filtered(on...)...)
		boxes := make([]lab.Box, 4)
		for i := range boxes {
			boxes[i] = lab.Box{Name: fmt.Sprintf("b%d", i), Spamassassin: d != "boxes.example" || i%2 == 0}
			all = append(all, boxes[i].Name+"@"+d)
		}
		lab.PutBoxes(t, root, d, boxes...)
	}
	slices.SortFunc(all, func(a, b string) int { return strings.Compare(a, b) }) // b0 of each domain, then b1: as mixed as can be
	putFilters(t, root, judges{spamd: spamd, clamd: clamd})
	x := lab.Start(t, root, lab.Options{Dovecot: true})
	wants := func(to string) (spam, virus bool) {
		box, domain, _ := strings.Cut(to, "@")
		on := mixed[domain]
		return slices.Contains(on, "spamassassin") && (domain != "boxes.example" || (box[1]-'0')%2 == 0), slices.Contains(on, "avcheck")
	}
	for name, words := range map[string]string{"virus": lab.Virus, "spam": lab.Spam, "plain": "hello"} {
		fate := map[string]string{}
		left := all
		for round := 0; len(left) > 0; round++ {
			if round > 10 {
				t.Fatalf("%s: never told of %q", name, left)
			}
			answers, last, err := lab.Client{Addr: x.Addr()}.SendAll(limited(t), stranger, left, letterOf("mix-"+name, words))
			if err != nil {
				t.Fatal(err)
			}
			var later []string
			for i, to := range left {
				switch r := answers[i]; {
				case r.OK():
					fate[to] = replyLine(last)
				case replyLine(r) == isOther, strings.HasPrefix(replyLine(r), "452 "):
					later = append(later, to)
				default:
					t.Errorf("%s to %s: %s", name, to, r)
				}
			}
			left = later
		}
		for _, to := range all {
			spam, virus := wants(to)
			want := "250 OK"
			if name == "spam" && spam {
				want = isSpam
			}
			if name == "virus" && virus {
				want = hasVirus
			}
			if !strings.HasPrefix(fate[to], want) {
				t.Errorf("%s to %s: %s, want %s", name, to, fate[to], want)
			}
		}
	}
	for _, to := range all {
		spam, virus := wants(to)
		n := 1
		if !spam {
			n++
		}
		if !virus {
			n++
		}
		for _, l := range inbox(t, x, to, n) {
			if got := strings.Contains(l, "X-Spam-Score: "); got != spam {
				t.Errorf("%s: judged %v, want %v", to, got, spam)
			}
		}
	}
	noFault(t, x)
}

// killUnderLoad kills each filter in turn and starts it again while letters come in.
// Senders try again, as mail servers do.
func killUnderLoad(t *testing.T, grey, spamd, clamd *lab.Filter) {
	root := lab.NewRoot(t)
	lab.PutDomain(t, root, "on.example", filtered("greylist", "spamassassin", "avcheck")...)
	lab.PutBoxes(t, root, "on.example", lab.Box{Name: "post", Greylist: true, Spamassassin: true})
	putFilters(t, root, judges{postgrey: grey, spamd: spamd, clamd: clamd})
	x := lab.Start(t, root, lab.Options{Dovecot: true})
	const senders, least, most = 3, 10, 1000
	var load sync.WaitGroup
	var mu sync.Mutex
	var plain []string          // letters that were taken
	later := map[string]int{}   // what senders were told that were put off
	over := make(chan struct{}) // no filter is killed any more
	for s := range senders {
		load.Go(func() {
			for i := range most {
				select {
				case <-over:
					if i >= least {
						return
					}
				default:
				}
				words, want := fmt.Sprintf("letter-%d-%d.", s, i), "250 OK"
				if i%2 == 1 {
					words, want = words+" "+lab.Virus, hasVirus
				}
				from := fmt.Sprintf("s%d-%d@elsewhere.test", s, i/10) // one that postgrey does not know, at times
				for tries := 0; ; tries++ {
					r, err := x.Send(t.Context(), from, "post@on.example", letterOf(words))
					if err != nil {
						t.Error(err)
						return
					}
					if r.Code/100 == 4 && tries < 2000 {
						mu.Lock()
						later[replyLine(r)]++
						mu.Unlock()
						time.Sleep(20 * time.Millisecond)
						continue
					}
					if !strings.HasPrefix(replyLine(r), want) {
						t.Errorf("%s: %s", words, replyLine(r))
					} else if want == "250 OK" {
						mu.Lock()
						plain = append(plain, words)
						mu.Unlock()
					}
					break
				}
			}
		})
	}
	met := func(count func() int) { // waits until the load has met something once more
		read := func() int {
			mu.Lock()
			defer mu.Unlock()
			return count()
		}
		before := read()
		for end := time.Now().Add(20 * time.Second); read() == before; time.Sleep(5 * time.Millisecond) {
			if time.Now().After(end) {
				t.Error("the load goes on too slowly, or not at all")
				return
			}
		}
	}
	taken := func() int { return len(plain) }
	refused := func() int { return later[noScanner] }
	for _, f := range []*lab.Filter{clamd, grey, clamd, spamd, grey, clamd} {
		met(taken)
		f.Kill()
		if f == clamd {
			met(refused)
		} else {
			met(taken)
		}
		if err := f.Start(t.Context()); err != nil {
			t.Error(err)
		}
	}
	close(over)
	load.Wait()
	got := strings.Join(inbox(t, x, "post@on.example", len(plain)), "")
	for _, words := range plain {
		if n := strings.Count(got, words+"\r\n"); n != 1 {
			t.Errorf("%s arrived %d times", words, n)
		}
	}
	if strings.Contains(got, lab.Virus) || strings.Contains(got, "X-Virus-Status") {
		t.Error("a virus passed, or a letter unscanned")
	}
	for told := range later {
		if told != noScanner && told != isGrey {
			t.Errorf("senders were told to try again later: %s", told)
		}
	}
	if later[isGrey] == 0 {
		t.Errorf("nobody was greylisted: %v", later)
	}
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		if q, err := x.Queue(limited(t)); err == nil && len(q) == 0 {
			break
		} else if err != nil || time.Now().After(end) {
			t.Errorf("queue: %+v, %v", q, err)
			break
		}
	}
	t.Logf("%d letters taken, senders were put off: %v", len(plain), later)
}
