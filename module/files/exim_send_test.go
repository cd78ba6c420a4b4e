package files_test

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"maildomain/tests/lab"
	"maildomain/tests/sink"
)

func letters(t *testing.T, s *sink.Server, n int) []sink.Letter {
	t.Helper()
	l, err := s.Wait(limited(t), n)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func waitLog(t *testing.T, x *lab.Exim, what string) {
	t.Helper()
	if _, err := x.WaitLog(limited(t), what); err != nil {
		t.Fatal(err)
	}
}

func emptyQueue(t *testing.T, x *lab.Exim) {
	t.Helper()
	if q, err := x.Queue(limited(t)); err != nil || len(q) != 0 {
		t.Errorf("queue: %+v, %v", q, err)
	}
}

func TestLettersGoWhereTheDefaultActionSays(t *testing.T) {
	x, _ := start(t, world, lab.Options{})
	for _, c := range []struct{ to, arrives string }{
		{"Any.One@addr.example", "me@foreign.test"},
		{"Any.One+x@dom-foreign.example", "Any.One+x@foreign.test"},
		{"any@dom-addr.example", "me@foreign.test"},
		{"any@three-addr.example", "me@foreign.test"},
		{"any@addr-idn.example", "post@foreign.test"},
		{"any@XN--bcher-kva.example", "post@foreign.test"},
	} {
		before := len(x.Sink.Letters())
		done(t, x, send(t, x, stranger, c.to))
		l := letters(t, x.Sink, before+1)[before]
		if len(l.To) != 1 || l.To[0] != c.arrives || l.From != stranger || !strings.HasSuffix(string(l.Data), "\r\nSubject: a test\r\n\r\nhello\r\n") {
			t.Errorf("sent to %s, arrived: from %s to %q\n%s", c.to, l.From, l.To, l.Data)
		}
	}
	seen := len(x.Sink.Letters())
	for _, to := range []string{"gone@ign.example", "gone@dom.example", "gone@addr-ign.example"} {
		done(t, x, send(t, x, stranger, to))
	}
	if n := len(x.Sink.Letters()); n != seen {
		t.Errorf("%d letters left that were to be thrown away", n-seen)
	}
	emptyQueue(t, x)
	noPanic(t, x)
}

// One copy for one mailbox, however many of a letter's addresses lead there.
func TestLetterForSeveralAddressesIsSentOnce(t *testing.T) {
	x, _ := start(t, world, lab.Options{})
	done(t, x, send(t, x, stranger, "a@addr.example", "b@addr.example", "c@dom-addr.example", "d@err.example", "e@ign.example"))
	if l := x.Sink.Letters(); len(l) != 1 || len(l[0].To) != 1 || l[0].To[0] != "me@foreign.test" {
		t.Errorf("arrived: %+v", l)
	}
}

func TestOutgoingAddressAndGreetingFollowDomainips(t *testing.T) {
	x, root := start(t, world, lab.Options{})
	lab.Put(t, root, "etc/exim4/domainips", "# maildomain 1: a test\naddr.example: 127.0.0.11\nsub.addr.example: 127.0.0.12\nv6.example: ::1\n")
	for _, c := range []struct{ from, peer, helo string }{
		{"me@addr.example", "127.0.0.11", "addr.example"},
		{"Me@ADDR.Example", "127.0.0.11", "addr.example"},
		{"me@sub.addr.example", "127.0.0.12", "sub.addr.example"},
		{"me@dr.example", "127.0.0.1", "mail.lab.test"},
		{"me@xaddr.example", "127.0.0.1", "mail.lab.test"},
		{"me@addrxexample", "127.0.0.1", "mail.lab.test"},
		{"me@v6.example", "127.0.0.1", "mail.lab.test"}, // no IPv6 on this way
		{"me@ign.example", "127.0.0.1", "mail.lab.test"},
		{"me@elsewhere.test", "127.0.0.1", "mail.lab.test"},
		{"", "127.0.0.1", "mail.lab.test"},
	} {
		before := len(x.Sink.Letters())
		done(t, x, send(t, x, c.from, "x@addr.example"))
		l := letters(t, x.Sink, before+1)[before]
		if l.From != c.from || l.Peer.String() != c.peer || l.Helo != c.helo {
			t.Errorf("from <%s> left as <%s> from %s, greeting %s; want %s, %s", c.from, l.From, l.Peer, l.Helo, c.peer, c.helo)
		}
	}
	emptyQueue(t, x)
	noPanic(t, x)
}

func TestOutgoingIPv6Address(t *testing.T) {
	six, err := sink.Listen("[::1]:0", nil)
	if err != nil {
		t.Skipf("no IPv6 on the loopback interface: %v", err)
	}
	defer func() { _ = six.Close() }()
	x, root := start(t, world, lab.Options{Sink: six.Addr()})
	lab.Put(t, root, "etc/exim4/domainips", "# maildomain 1: a test\nv4.example: 127.0.0.11\nv6.example: ::1\n")
	for i, c := range []struct{ from, helo string }{
		{"me@v6.example", "v6.example"},
		{"me@v4.example", "mail.lab.test"}, // its address is of the other family
		{"me@elsewhere.test", "mail.lab.test"},
	} {
		send(t, x, c.from, "x@addr.example")
		l := letters(t, six, i+1)[i]
		if l.Peer.String() != "::1" || l.Helo != c.helo {
			t.Errorf("from %s left from %s, greeting %s; want %s", c.from, l.Peer, l.Helo, c.helo)
		}
	}
	noPanic(t, x)
}

// An address that is not (or no longer) the server's: letters wait, none is lost
// and none leaves from the wrong address.
func TestOutgoingAddressOfAnotherHostKeepsLetters(t *testing.T) {
	x, root := start(t, world, lab.Options{})
	lab.Put(t, root, "etc/exim4/domainips", "# maildomain 1: a test\naddr.example: 192.0.2.77\n")
	send(t, x, "me@addr.example", "x@addr.example")
	waitLog(t, x, "Cannot assign requested address")
	if n := len(x.Sink.Letters()); n != 0 {
		t.Errorf("%d letters left", n)
	}
	lab.Put(t, root, "etc/exim4/domainips", "# maildomain 1: a test\naddr.example: 127.0.0.11\n")
	if err := x.RunQueue(limited(t)); err != nil {
		t.Fatal(err)
	}
	if l := letters(t, x.Sink, 1)[0]; l.Peer.String() != "127.0.0.11" {
		t.Errorf("left from %s", l.Peer)
	}
	emptyQueue(t, x)
}

// Exim sends waiting letters over one connection where it can. It must not where
// they have different addresses to leave from.
func TestWaitingLettersLeaveEachFromItsOwnAddress(t *testing.T) {
	addr := down(t)
	x, root := start(t, world, lab.Options{Sink: addr})
	lab.Put(t, root, "etc/exim4/domainips", "# maildomain 1: a test\naddr.example: 127.0.0.11\nign.example: 127.0.0.12\n")
	peers := map[string]string{"a@addr.example": "127.0.0.11", "b@ign.example": "127.0.0.12", "c@elsewhere.test": "127.0.0.1", "": "127.0.0.1"}
	const each = 3
	for from := range peers {
		for range each {
			id := send(t, x, from, "x@addr.example")
			waitLog(t, x, id+" == me@foreign.test")
		}
	}
	s := up(t, addr)
	runQueue(t, x)
	runQueue(t, x)
	for _, l := range letters(t, s, each*len(peers)) {
		if l.Peer.String() != peers[l.From] {
			t.Errorf("from <%s> left from %s", l.From, l.Peer)
		}
	}
	emptyQueue(t, x)
	noPanic(t, x)
}

func TestMissingDomainipsKeepsLetters(t *testing.T) {
	x, root := start(t, world, lab.Options{})
	remove(t, root, "etc/exim4/domainips")
	send(t, x, "me@addr.example", "x@addr.example")
	waitLog(t, x, "failed to expand \"interface\" option")
	if q, err := x.Queue(limited(t)); err != nil || len(q) != 1 || q[0].Frozen {
		t.Fatalf("queue: %+v, %v", q, err)
	}
	lab.Put(t, root, "etc/exim4/domainips", "# maildomain 1: a test\n")
	if err := x.RunQueue(limited(t)); err != nil {
		t.Fatal(err)
	}
	letters(t, x.Sink, 1)
}

func remove(t *testing.T, root, name string) {
	t.Helper()
	if err := os.Remove(filepath.Join(root, name)); err != nil {
		t.Fatal(err)
	}
}

// down is an address where a sink can be started later.
func down(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	return l.Addr().String()
}

func up(t *testing.T, addr string) *sink.Server {
	t.Helper()
	s, err := sink.Listen(addr, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// queued sends a letter that waits because the next server is down.
func queued(t *testing.T, x *lab.Exim, to ...string) {
	t.Helper()
	send(t, x, stranger, to...)
	for _, a := range to {
		waitLog(t, x, "<"+a+"> R=lab_sink T=remote_smtp defer")
	}
}

func TestQueuedLetterWaitsWhileItsDomainIsSuspended(t *testing.T) {
	addr := down(t)
	x, root := start(t, world, lab.Options{Sink: addr})
	queued(t, x, "x@addr.example")
	lab.PutDomain(t, root, "addr.example", suspend(world["addr.example"])...)
	s := up(t, addr)
	runQueue(t, x)
	waitLog(t, x, "R=suspended defer (-1): 450 4.2.1 the mail domain is suspended")
	if n := len(s.Letters()); n != 0 {
		t.Fatalf("%d letters left", n)
	}
	lab.PutDomain(t, root, "addr.example", world["addr.example"]...)
	runQueue(t, x)
	if l := letters(t, s, 1); l[0].To[0] != "me@foreign.test" {
		t.Errorf("arrived: %+v", l)
	}
	emptyQueue(t, x)
}

func runQueue(t *testing.T, x *lab.Exim) {
	t.Helper()
	if err := x.RunQueue(limited(t)); err != nil {
		t.Fatal(err)
	}
}

// The redirection became a circle when the letter was in already: its sender is
// told, and nothing stays in the queue.
func TestCircleMadeLaterReturnsTheLetter(t *testing.T) {
	for name, to := range map[string][]string{
		"one recipient":  {"any@one.example"},
		"both ends":      {"x@one.example", "x@two.example"},
		"three of three": {"x@one.example", "x@two.example", "x@three.example"},
	} {
		t.Run(name, func(t *testing.T) {
			addr := down(t)
			x, root := start(t, map[string][]string{
				"one.example":   action("redirdomain", "foreign1.test"),
				"two.example":   action("redirdomain", "foreign2.test"),
				"three.example": action("redirdomain", "foreign3.test"),
			}, lab.Options{Sink: addr})
			queued(t, x, to...)
			ring := []string{"one.example", "two.example", "three.example"}[:max(2, len(to))]
			for i, d := range ring {
				lab.PutDomain(t, root, d, action("redirdomain", ring[(i+1)%len(ring)])...)
			}
			s := up(t, addr)
			runQueue(t, x) // makes the bounce
			runQueue(t, x) // sends it, for the sink is thought to be down still
			l := letters(t, s, 1)[0]
			if l.From != "" || len(l.To) != 1 || l.To[0] != stranger {
				t.Errorf("arrived: from <%s> to %q", l.From, l.To)
			}
			for _, a := range to {
				if !strings.Contains(string(l.Data), a) {
					t.Errorf("the bounce does not name %s:\n%s", a, l.Data)
				}
			}
			emptyQueue(t, x)
		})
	}
}

func TestBounceDoesNotTellWhereMailGoes(t *testing.T) {
	addr := down(t)
	x, root := start(t, map[string][]string{"a.example": action("redirdomain", "foreign.test")}, lab.Options{Sink: addr})
	queued(t, x, "x@a.example")
	lab.PutDomain(t, root, "a.example", action("redirect", "secret@b.example")...)
	lab.PutDomain(t, root, "b.example", action("error")...)
	s := up(t, addr)
	runQueue(t, x)
	runQueue(t, x)
	l := letters(t, s, 1)[0]
	if text := string(l.Data); strings.Contains(text, "secret") || !strings.Contains(text, "x@a.example") {
		t.Errorf("the bounce says:\n%s", text)
	}
}

func TestLetterThatCameRoundTooOftenIsReturned(t *testing.T) {
	x, _ := start(t, world, lab.Options{})
	text := strings.Repeat("Received: from a by b; Sun, 1 Jan 2034 00:00:00 +0000\n", 31) + "Subject: x\n\nx\n"
	if r, err := x.Send(limited(t), stranger, "x@addr.example", text); err != nil || !r.OK() {
		t.Fatal(r, err)
	}
	waitLog(t, x, "** x@addr.example: Too many \"Received\" headers")
	if l := letters(t, x.Sink, 1)[0]; l.From != "" || l.To[0] != stranger {
		t.Errorf("arrived: from <%s> to %q\n%s", l.From, l.To, l.Data)
	}
}

func TestSuspensionShowsInTheNextSession(t *testing.T) {
	x, root := start(t, world, lab.Options{})
	for i := range 20 {
		lab.PutDomain(t, root, "ign.example", suspend(world["ign.example"])...)
		if r := ask(t, x, fmt.Sprintf("x%d@ign.example", i)); r.Code != 450 {
			t.Errorf("suspended: %v", r)
		}
		lab.PutDomain(t, root, "ign.example", world["ign.example"]...)
		if r := ask(t, x, fmt.Sprintf("x%d@ign.example", i)); r.Code != 250 {
			t.Errorf("resumed: %v", r)
		}
		lab.RemoveDomain(t, root, "ign.example")
		if r := ask(t, x, fmt.Sprintf("x%d@ign.example", i)); r.Code != 550 {
			t.Errorf("deleted: %v", r)
		}
	}
	noPanic(t, x)
}
