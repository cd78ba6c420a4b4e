package files_test

import (
	"fmt"
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
		find(fmt.Sprintf("n ${mask:198.51.%d.%d/32}", i/256, i%256), "b")
		find(fmt.Sprintf("a d%d.test", i), "none")
		find(fmt.Sprintf("d box%d@x.test", i), "none")
	}
	for _, c := range [][2]string{
		{"2001:db8::/32", "2001:db8:ffff::1/32"}, {"2001:db8:a:b::/64", "2001:db8:a:b:1:2:3:4/64"},
		{"::1", "::1/128"}, {"fd00:1230::/28", "fd00:123f::1/28"}, {"10.0.0.0/8", "10.99.1.2/8"}, {"192.0.2.128/25", "192.0.2.255/25"},
	} {
		senders = append(senders, c[0])
		find("n ${mask:"+c[1]+"}", "b")
	}
	find("m 4", "32;25;8")
	find("m 6", "128;64;32;28")
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

func TestTenThousandEntriesAnswerAsFourDo(t *testing.T) {
	x, root := start(t, map[string][]string{"on.example": filtered()}, lab.Options{})
	for _, n := range []int{4, 10_000} {
		listMany(t, root, n)
		if r := ask(t, x, "x@on.example"); replyLine(r) != taken {
			t.Errorf("with %d entries: %v", n, r)
		}
	}
}

// listMany puts so many entries of every kind on the lists of the server and of a domain.
func listMany(t testing.TB, root string, n int) {
	t.Helper()
	var senders []string
	for i := range n / 4 {
		senders = append(senders, fmt.Sprintf("box%d@x.test", i), fmt.Sprintf("d%d.test", i), fmt.Sprintf("198.51.%d.%d", i/256, i%256), fmt.Sprintf("10.%d.%d.0/24", i/256, i%256))
	}
	for _, name := range []string{"server", "on.example"} {
		lab.Put(t, root, files.Debian.Lists()+"/"+name, string(files.Debian.ListFile(mail.Name{}, entriesOf(t, mail.Black, senders...)).Body))
	}
}

// RCPT costs the same however long the lists are: within a fifth, by the fastest of
// many turns of each.
func BenchmarkRecipientBesideLists(b *testing.B) {
	lab.NeedRoot(b)
	lab.Need(b, "exim4")
	root := lab.NewRoot(b)
	lab.PutDomain(b, root, "on.example", filtered()...)
	x := lab.Start(b, root, lab.Options{})
	fastest := map[int]time.Duration{4: time.Hour, 10_000: time.Hour}
	for b.Loop() {
		for n := range fastest {
			listMany(b, root, n)
			began := time.Now()
			if r, err := x.Rcpt(b.Context(), "someone@sender.test", "x@on.example"); err != nil || replyLine(r) != taken {
				b.Fatal(r, err)
			}
			fastest[n] = min(fastest[n], time.Since(began))
		}
	}
	ratio := float64(fastest[10_000]) / float64(fastest[4])
	b.ReportMetric(ratio, "x")
	if ratio > 1.2 {
		b.Errorf("RCPT with 4 entries in both lists: %v, with 10,000: %v", fastest[4], fastest[10_000])
	}
}
