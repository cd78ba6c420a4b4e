package files_test

import (
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"net/textproto"
	"slices"
	"strings"
	"testing"
	"time"

	"maildomain/module/files"
	"maildomain/module/mail"
	"maildomain/tests/lab"
)

// entriesOf are entries of the server's list.
func entriesOf(t testing.TB, list mail.List, senders ...string) (ls []mail.Listed) {
	t.Helper()
	for _, text := range senders {
		s, ok := mail.ParseSender(text)
		if !ok {
			t.Fatalf("entry %q", text)
		}
		ls = append(ls, mail.Listed{List: list, Sender: s})
	}
	return ls
}

// What is written under a key is what Exim finds under it, and nothing else is.
func TestEximFindsEveryEntryByItsKey(t *testing.T) {
	x, root := start(t, map[string][]string{"on.example": filtered()}, lab.Options{})
	var senders, questions, want []string
	find := func(key, answer string) {
		questions = append(questions, "${lookup{"+key+"}cdb{/etc/exim4/lists/server}{$value}{none}}")
		want = append(want, answer)
	}
	for i := range 300 {
		senders = append(senders, fmt.Sprintf("box%d@x.test", i), fmt.Sprintf("d%d.test", i), fmt.Sprintf("198.51.%d.%d", i/256, i%256))
		find(fmt.Sprintf("a box%d@x.test", i), "b")
		find(fmt.Sprintf("d d%d.test", i), "b")
		find(fmt.Sprintf("n ${mask:198.51.%d.%d/32}", i/256, i%256), ":b")
		find(fmt.Sprintf("a d%d.test", i), "none")
		find(fmt.Sprintf("d box%d@x.test", i), "none")
	}
	for _, c := range [][2]string{
		{"2001:db8::/32", "2001:db8:ffff::1/32"}, {"2001:db8:a:b::/64", "2001:db8:a:b:1:2:3:4/64"},
		{"::1", "::1/128"}, {"fd00:1230::/28", "fd00:123f::1/28"}, {"10.0.0.0/8", "10.99.1.2/8"}, {"192.0.2.128/25", "192.0.2.255/25"},
	} {
		senders = append(senders, c[0])
		find("n ${mask:"+c[1]+"}", ":b")
	}
	find("m 4", "/25=/8;-")
	find("m 6", "/64=/32;/32=/28;-")
	find("", "none")
	f := files.Debian.ListFile(mail.Name{}, entriesOf(t, mail.Black, senders...))
	lab.Put(t, root, f.Path, string(f.Body))
	status, out, err := x.Run(limited(t), append([]string{"-be"}, questions...)...)
	got := strings.Split(strings.TrimSpace(out), "\n")
	if err != nil || status != 0 || len(got) != len(want) {
		t.Fatalf("%d, %v: %d answers to %d questions: %.200s", status, err, len(got), len(want), out)
	}
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("%s: %s, want %s", questions[i], got[i], want[i])
		}
	}
}

// Of the networks that a client is in the narrowest counts, whatever lengths there are:
// as Exim says of real connections.
func TestNarrowestNetworkCounts(t *testing.T) {
	x, root := start(t, map[string][]string{"on.example": filtered()}, lab.Options{})
	for seed, lengths := range [][]int{{32}, {8, 9}, {16, 24, 32}, {9, 12, 17, 25, 30, 31}, everyLength} {
		r := rand.New(rand.NewPCG(uint64(seed), 8))
		client := func() netip.Addr { // few prefixes, so that networks lie in each other
			pick := func(of ...byte) byte { return of[r.IntN(len(of))] }
			return netip.AddrFrom4([4]byte{127, pick(0, 1, 128, 129, 200), pick(0, 3, 127, 192), byte(1 + r.IntN(30))})
		}
		var listed []mail.Listed
		says := map[netip.Prefix]mail.List{}
		for range 40 {
			p := netip.PrefixFrom(client(), lengths[r.IntN(len(lengths))]).Masked()
			list := mail.List([]mail.List{mail.White, mail.Black}[r.IntN(2)])
			if says[p] == "" {
				says[p] = list
				listed = append(listed, entriesOf(t, list, p.String())...)
			}
		}
		f := files.Debian.ListFile(mail.Name{}, listed)
		lab.Put(t, root, f.Path, string(f.Body))
		for range 60 {
			c, want, narrowest := client(), taken, -1
			for p, list := range says {
				if p.Contains(c) && p.Bits() > narrowest {
					narrowest, want = p.Bits(), map[mail.List]string{mail.White: taken, mail.Black: isBlack}[list]
				}
			}
			r, err := lab.Client{Addr: x.Addr(), Local: c.String()}.Rcpt(limited(t), stranger, "x@on.example")
			if err != nil || replyLine(r) != want {
				t.Fatalf("lengths %v: %s is in a /%d: %s, %v, want %s, of %v", lengths, c, narrowest, replyLine(r), err, want, says)
			}
		}
	}
	noPanic(t, x)
}

// everyLength are the lengths of IPv4 networks that can be listed.
var everyLength = []int{8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31, 32}

// An IPv6 client is matched as an IPv4 one is. Of these the lab has one.
func TestListsKnowIPv6Clients(t *testing.T) {
	lab.NeedIPv6(t)
	l, err := net.Listen("tcp", "[::1]:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	x, root := start(t, map[string][]string{"on.example": filtered()}, lab.Options{Listen: addr})
	for _, c := range []struct{ domain, server, want string }{
		{"", "", taken},
		{"", "black ::1", isBlack},
		{"", "black ::/64", isBlack},
		{"", "black ::/16", isBlack},
		{"", "black ::/16 white ::/28", taken},
		{"", "white ::/16 black ::/48 white ::2 black ::3", isBlack},
		{"", "black ::/64 white ::1", taken},
		{"", "black ::2 black 0:0:0:1::/64 black 0:0:1::/48 black 2001:db8::/32", taken},
		{"", "black 127.0.0.0/8 black 127.0.0.1", taken},
		{"white ::/32", "black ::1", taken}, // the domain's word before the server's
		{"black ::/60", "white ::1", isBlack},
		{"white 127.0.0.1", "black ::1", isBlack},
	} {
		put := func(name, entries string) {
			var listed []mail.Listed
			words := strings.Fields(entries)
			for i := 0; i+1 < len(words); i += 2 {
				listed = append(listed, entriesOf(t, mail.List(words[i]), words[i+1])...)
			}
			lab.Put(t, root, files.Debian.Lists()+"/"+name, string(files.Debian.ListFile(mail.Name{}, append(listed, entriesOf(t, mail.White, "nobody@x.test")...)).Body))
		}
		put("server", c.server)
		put("on.example", c.domain)
		r, err := lab.Client{Addr: addr, Local: "::1"}.Rcpt(limited(t), stranger, "x@on.example")
		if err != nil || replyLine(r) != c.want {
			t.Errorf("domain %q, server %q: %s, %v, want %s", c.domain, c.server, replyLine(r), err, c.want)
		}
	}
	noPanic(t, x)
}

// What a list says of one letter is not said of the next in the session, and each
// recipient's domain has its own say.
func TestListsAreAskedForEachLetterAndRecipient(t *testing.T) {
	x, root := start(t, map[string][]string{"a.example": filtered(), "b.example": filtered(), "c.example": filtered()}, lab.Options{})
	for name, ls := range map[string][]mail.Listed{
		"server":    entriesOf(t, mail.Black, "black.test", "both.test"),
		"a.example": entriesOf(t, mail.White, "both.test"),
		"b.example": entriesOf(t, mail.Black, "plain.test"),
	} {
		lab.Put(t, root, files.Debian.Lists()+"/"+name, string(files.Debian.ListFile(mail.Name{}, ls).Body))
	}
	c, err := textproto.Dial("tcp", x.Addr())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	say := func(line string) int {
		t.Helper()
		if line != "" {
			if err := c.PrintfLine("%s", line); err != nil {
				t.Fatal(err)
			}
		}
		code, _, err := c.ReadResponse(0)
		if code == 0 {
			t.Fatal(line, err)
		}
		return code
	}
	say("")
	say("EHLO client.test")
	for _, l := range []struct {
		sender string
		want   [3]int // of x@a, x@b and x@c
	}{
		{"x@plain.test", [3]int{250, 550, 250}}, {"x@black.test", [3]int{550, 550, 550}}, {"x@plain.test", [3]int{250, 550, 250}},
		{"x@both.test", [3]int{250, 550, 550}}, {"", [3]int{250, 250, 250}}, {"x@both.test", [3]int{250, 550, 550}},
	} {
		say("MAIL FROM:<" + l.sender + ">")
		for i, domain := range []string{"a.example", "b.example", "c.example"} {
			if got := say("RCPT TO:<x@" + domain + ">"); got != l.want[i] {
				t.Errorf("from <%s> to %s: %d, want %d", l.sender, domain, got, l.want[i])
			}
		}
		say("RSET")
	}
}

// A list that cannot be read lets nobody in and turns nobody away.
func TestBrokenListDefers(t *testing.T) {
	x, root := start(t, map[string][]string{"on.example": filtered(), "off.example": filtered()}, lab.Options{})
	whole := string(files.Debian.ListFile(mail.Name{}, entriesOf(t, mail.Black, "x.test", "198.51.100.0/24", "10.0.0.0/8")).Body)
	for what, body := range map[string]string{"empty": "", "no cdb": "x\n", "cut short": whole[:len(whole)-40], "only its head": whole[:2048]} {
		for name, deferred := range map[string][2]bool{"server": {true, true}, "on.example": {true, false}} {
			lab.Put(t, root, files.Debian.Lists()+"/"+name, body)
			for i, to := range []string{"x@on.example", "x@off.example"} {
				if r := ask(t, x, to); deferred[i] && r.Code/100 != 4 || !deferred[i] && r.Code != 250 {
					t.Errorf("lists/%s is %s: %s is told %s", name, what, to, replyLine(r))
				}
			}
			lab.Put(t, root, files.Debian.Lists()+"/"+name, whole)
		}
	}
}

// What is taken as an entry is matched letter by letter, whatever it looks like: it names
// itself, in any case of letters, and nobody whose name is like it.
func TestAcceptedEntriesAreMatchedLiterally(t *testing.T) {
	x, root := start(t, map[string][]string{"on.example": filtered()}, lab.Options{})
	r := rand.New(rand.NewPCG(6, 8))
	tried, names := 0, map[string]bool{}
	for len(names) < 60 {
		if tried++; tried > 100_000 {
			t.Fatalf("of %d texts only %d were taken", tried, len(names))
		}
		s, ok := mail.ParseSender(hostileSender(r))
		if !ok || names[s.String()] {
			continue
		}
		names[s.String()] = true
		f := files.Debian.ListFile(mail.Name{}, []mail.Listed{{List: mail.Black, Sender: s}})
		lab.Put(t, root, f.Path, string(f.Body))
		hit := map[string]bool{} // senders, and whether they are listed
		switch {
		case s.Address() != "":
			local, domain, _ := strings.Cut(s.Address(), "@")
			hit[s.Address()], hit[strings.ToUpper(local)+"@"+domain] = true, true
			for _, other := range []string{local + "x", "x" + local, local[1:] + "0", swapped(local)} {
				if other != local && !strings.HasPrefix(other, ".") && other != "" {
					hit[other+"@"+domain] = false
				}
			}
			hit[local+"@x."+domain], hit[local+"@"+swapped(domain)] = false, false
		default:
			domain := s.SenderDomain().String()
			hit["any@"+domain], hit["any@"+strings.ToUpper(domain)] = true, true
			hit["any@x."+domain], hit["any@x"+domain], hit["any@"+swapped(domain)] = false, false, false
		}
		for sender, listed := range hit {
			want := taken
			if listed {
				want = isBlack
			}
			if got, err := x.Rcpt(limited(t), sender, "x@on.example"); err != nil || replyLine(got) != want {
				t.Errorf("%q is listed; of %q Exim says %s, %v, want %s", s, sender, replyLine(got), err, want)
			}
		}
	}
	noPanic(t, x)
}

// swapped is s with each character that means something somewhere changed for another,
// or one more where there is none.
func swapped(s string) string {
	to := strings.NewReplacer(".", "-", "-", ".", "%", "*", "*", "a", "?", "a", "+", "-", "&", "+", "'", "_", "_", "x", "~", "=", "=", "~").Replace(s)
	to = strings.Trim(to, ".-")
	if to == s || strings.Contains(to, "..") || strings.Contains(to, ".-") || strings.Contains(to, "-.") {
		return "a" + s
	}
	return to
}

// hostileSender is an address or a domain with pieces in it that are patterns or commands in
// somebody's language.
func hostileSender(r *rand.Rand) string {
	pieces := []string{
		"\n", "\r", "\x00", ":", "|", "/", ",", ";", "#", "$", "{", "}", `"`, "'", `\`, "`", " ", "\t", "*", "^", "!", "+", "@@", "@", "../", "%", "?", "&", "~", "=", "_", "-", ".",
		"${run{id}}", ":include:/etc/passwd", "\x80", "\xff", "a ", "d ", "m 4", "n ", "$value", "lsearch;", "box", "x", "0", "ab",
	}
	mild := []string{"'", "+", "%", "?", "&", "~", "=", "_", "-", ".", "box", "x", "0", "ab"}
	word := func(of []string) string {
		w := ""
		for range 1 + r.IntN(4) {
			w += of[r.IntN(len(of))]
		}
		return w
	}
	local := word([][]string{pieces, mild}[r.IntN(2)]) + "@"
	if r.IntN(3) == 0 {
		local = ""
	}
	return local + word([][]string{pieces, {"x", "0", "-", ".", "ab"}}[r.IntN(2)]) + ".test"
}

func TestTenThousandEntriesAnswerAsFourDo(t *testing.T) {
	x, root := start(t, map[string][]string{"on.example": filtered()}, lab.Options{})
	for _, n := range []int{4, 10_000} {
		for _, lengths := range [][]int{{24, 32}, everyLength} {
			listMany(t, root, n, lengths)
			if r := ask(t, x, "x@on.example"); replyLine(r) != taken {
				t.Errorf("with %d entries: %v", n, r)
			}
		}
	}
}

// listMany puts so many entries of every kind on the lists of the server and of a domain:
// half of them networks of these lengths.
func listMany(t testing.TB, root string, n int, lengths []int) {
	t.Helper()
	var senders []string
	for i := range n / 4 {
		senders = append(senders, fmt.Sprintf("box%d@x.test", i), fmt.Sprintf("d%d.test", i))
	}
	for i := range n / 2 {
		senders = append(senders, fmt.Sprintf("%d.%d.%d.0/%d", 10+i%50, i/256, i%256, lengths[i%len(lengths)]))
	}
	body := string(files.Debian.ListFile(mail.Name{}, entriesOf(t, mail.Black, senders...)).Body)
	for _, name := range []string{"server", "on.example"} {
		lab.Put(t, root, files.Debian.Lists()+"/"+name, body)
	}
}

// RCPT costs the same however long the lists are: within a fifth, in the middle of many
// turns, taken one after the other. Every Exim has its lists before the first turn; a
// list that was made a moment ago would find caches and cores full of its making.
func BenchmarkRecipientBesideLists(b *testing.B) {
	lab.NeedRoot(b)
	lab.Need(b, "exim4")
	kinds := []struct {
		name    string
		entries int
		lengths []int
	}{{"none", 0, nil}, {"4", 4, []int{24, 32}}, {"10000", 10_000, []int{24, 32}}, {"10000-of-25-lengths", 10_000, everyLength}}
	const few = 1 // what the others are compared with
	exims := make([]*lab.Exim, len(kinds))
	for i, k := range kinds {
		root := lab.NewRoot(b)
		lab.PutDomain(b, root, "on.example", filtered()...)
		if k.entries > 0 {
			listMany(b, root, k.entries, k.lengths)
		}
		exims[i] = lab.Start(b, root, lab.Options{})
	}
	first, second := make([][]time.Duration, len(kinds)), make([][]time.Duration, len(kinds))
	turn := func() {
		for i, x := range exims {
			times := rcptTimes(b, x, "x@on.example", "y@on.example")
			first[i], second[i] = append(first[i], times[0]), append(second[i], times[1])
		}
	}
	for range 20 {
		turn()
	}
	clear(first)
	clear(second)
	for b.Loop() {
		turn()
	}
	middle := func(times []time.Duration) float64 {
		slices.Sort(times)
		return float64(times[len(times)/2])
	}
	for name, times := range map[string][][]time.Duration{"first": first, "next": second} {
		of := middle(times[few])
		for i, k := range kinds {
			ratio := middle(times[i]) / of
			b.ReportMetric(ratio, "x-"+name+"-"+k.name)
			if ratio > 1.2 && b.N >= 100 {
				b.Errorf("the %s RCPT of a session, with 4 entries in both lists: %v, with %s: %.2f times that", name, time.Duration(of), k.name, ratio)
			}
		}
	}
}

// rcptTimes is how long each RCPT of a session took.
func rcptTimes(t testing.TB, x *lab.Exim, to ...string) []time.Duration {
	t.Helper()
	c, err := textproto.Dial("tcp", x.Addr())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	say := func(line string) time.Duration {
		began := time.Now()
		if line != "" {
			if err := c.PrintfLine("%s", line); err != nil {
				t.Fatal(err)
			}
		}
		if code, text, err := c.ReadResponse(0); err != nil || code/100 != 2 {
			t.Fatal(line, code, text, err)
		}
		return time.Since(began)
	}
	say("")
	say("EHLO client.test")
	say("MAIL FROM:<someone@sender.test>")
	times := make([]time.Duration, len(to))
	for i, a := range to {
		times[i] = say("RCPT TO:<" + a + ">")
	}
	_ = c.PrintfLine("QUIT") // nothing depends on the answer
	return times
}
