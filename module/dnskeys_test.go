package module

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	wire "github.com/miekg/dns"

	"maildomain/module/files"
	"maildomain/module/mail"
)

func (w *world) keyFile(name, selector string) string {
	return filepath.Join(w.dir, files.Debian.SSL(), name+"_"+selector+".private")
}

func TestNewKeySignsWhenItsRecordIsSeen(t *testing.T) {
	n := newNamed(t, "a.example")
	addSigned(t, n.world, "a.example", "dmarc", "on")
	// Handed over in the same call: key, MX, SPF and DMARC.
	key := keyRows(t, n.world, "a.example")[0].Key
	n.hasRecords(t, "dkim._domainkey.a.example", wire.TypeTXT, key.Record().String())
	n.hasRecords(t, "a.example", wire.TypeMX, "10 mx.host.example.")
	checkRows(t, n.world, "a.example", mail.Published, 4)
	checkKeys(t, n.world, "a.example", "dkim new")
	if got := signsWith(t, n.world, "a.example"); got != "" {
		t.Errorf("signs with %q before the record was seen", got)
	}
	checkNote(t, n.world, "a.example", "dns_pending")
	if _, err := os.Stat(n.keyFile("a.example", "dkim")); err != nil {
		t.Error(err)
	}
	pending(t, n.world)
	checkKeys(t, n.world, "a.example", "dkim signing")
	if got := signsWith(t, n.world, "a.example"); got != "dkim" {
		t.Errorf("signs with %q", got)
	}
	checkNote(t, n.world, "a.example", "")
	checkConsistent(t, n.world)
}

// At every moment each selector that Exim signs with, or signed with in the last eight
// days, has its key in DNS.
func TestRotationLeavesNoGap(t *testing.T) {
	n := newNamed(t, "a.example")
	addSigned(t, n.world, "a.example", "dkim_ed25519", "on")
	pending(t, n.world)
	signed := map[string]time.Time{}
	records := map[string]string{}
	look := func() {
		t.Helper()
		for _, k := range keyRows(t, n.world, "a.example") {
			records[k.Selector.String()] = k.Key.Record().String()
		}
		for s := range strings.SplitSeq(signsWith(t, n.world, "a.example"), " : ") {
			if s != "" {
				signed[s] = n.db.Now()
			}
		}
		for s, at := range signed {
			if n.db.Now().Sub(at) < mail.QueueLifetime {
				n.hasRecords(t, s+"._domainkey.a.example", wire.TypeTXT, records[s])
				if _, err := os.Stat(n.keyFile("a.example", s)); err != nil {
					t.Error(err)
				}
			}
		}
	}
	look()
	if len(signed) != 2 {
		t.Fatalf("signed by %v", signed)
	}
	group(t, n.RotateKeys, as("user1"), "a.example")
	look()
	checkKeys(t, n.world, "a.example", "dkim signing, dkim-20260301 new, dkim-ed25519 signing, dkim-ed25519-20260301 new")
	pending(t, n.world)
	look()
	checkKeys(t, n.world, "a.example", "dkim old, dkim-20260301 signing, dkim-ed25519 old, dkim-ed25519-20260301 signing")
	if got := signsWith(t, n.world, "a.example"); got != "dkim-20260301 : dkim-ed25519-20260301" {
		t.Errorf("signs with %q", got)
	}
	change(t, n.world, as("user1"), "a.example", dnsEdit("dkim_keylen", "2048"))
	pending(t, n.world)
	look()
	for range 10 {
		n.pass(24 * time.Hour)
		pending(t, n.world)
		look()
	}
	checkKeys(t, n.world, "a.example", "dkim-20260301-1 signing, dkim-ed25519-20260301 signing")
	for _, gone := range []string{"dkim", "dkim-20260301", "dkim-ed25519"} {
		n.hasRecords(t, gone+"._domainkey.a.example", wire.TypeTXT)
		if _, err := os.Stat(n.keyFile("a.example", gone)); !os.IsNotExist(err) {
			t.Errorf("the file of %s is still there: %v", gone, err)
		}
	}
	checkConsistent(t, n.world)
}

func TestSwitchedOffDKIMStopsSigningAtOnceAndKeepsItsRecord(t *testing.T) {
	n := newNamed(t, "a.example")
	addSigned(t, n.world, "a.example")
	pending(t, n.world)
	change(t, n.world, as("user1"), "a.example", dnsEdit("dkim", "off"))
	if got := signsWith(t, n.world, "a.example"); got != "" {
		t.Errorf("signs with %q", got)
	}
	if len(n.records(t, "dkim._domainkey.a.example", wire.TypeTXT)) != 1 {
		t.Error("letters that are under way lost their key")
	}
	n.pass(mail.QueueLifetime)
	pending(t, n.world)
	n.hasRecords(t, "dkim._domainkey.a.example", wire.TypeTXT)
	n.hasRecords(t, "a.example", wire.TypeMX, "10 mx.host.example.") // its mail comes as before
	n.hasRecords(t, "a.example", wire.TypeTXT, spfOfWorld)
	checkKeys(t, n.world, "a.example", "")
	checkRows(t, n.world, "a.example", mail.Published, 2)
}

// Whoever remembers the record of a key that went takes nothing that another one signs
// under its name.
func TestNoKeyGetsTheSelectorOfOneThatWent(t *testing.T) {
	n := newNamed(t, "a.example")
	addSigned(t, n.world, "a.example", "dkim_ed25519", "on")
	pending(t, n.world)
	group(t, n.DeleteDomains, as("user1"), "a.example")
	n.pass(time.Minute)
	addSigned(t, n.world, "a.example", "dkim_ed25519", "on")
	checkKeys(t, n.world, "a.example", "dkim-20260301 new, dkim-ed25519-20260301 new")
	pending(t, n.world)
	for range 3 { // those that nobody waits for any more go
		group(t, n.RotateKeys, as("user1"), "a.example")
	}
	checkKeys(t, n.world, "a.example", "dkim-20260301 signing, dkim-20260301-3 new, dkim-ed25519-20260301 signing, dkim-ed25519-20260301-3 new")
	change(t, n.world, as("user1"), "a.example", dnsEdit("dkim_ed25519", "off"))
	change(t, n.world, as("user1"), "a.example", dnsEdit("dkim_ed25519", "on"))
	checkKeys(t, n.world, "a.example", "dkim-20260301 signing, dkim-20260301-3 new, dkim-ed25519-20260301 old, dkim-ed25519-20260301-4 new")

	// What is brought back has its own.
	pending(t, n.world)
	before := keysOf(t, n.world, "a.example")
	record := keyRows(t, n.world, "a.example")[1].Key.Record().String()
	group(t, n.DeleteDomains, as("user1"), "a.example")
	restore(t, n.world, as("user1"), "a.example")
	pending(t, n.world)
	checkKeys(t, n.world, "a.example", before)
	n.hasRecords(t, "dkim-20260301-3._domainkey.a.example", wire.TypeTXT, record)

	// Nobody remembers for ever.
	group(t, n.DeleteDomains, as("user1"), "a.example")
	n.pass(mail.QueueLifetime + time.Hour)
	addSigned(t, n.world, "a.example")
	checkKeys(t, n.world, "a.example", "dkim new")
}

func TestKeysTurnOverByThemselves(t *testing.T) {
	n := newNamed(t, "a.example")
	addSigned(t, n.world, "a.example")
	pending(t, n.world)
	for range 10 {
		n.pass(24 * time.Hour)
		pending(t, n.world)
	}
	checkKeys(t, n.world, "a.example", "dkim signing")
	n.set(t, "dkim_rotate", "30")
	for range 19 {
		n.pass(24 * time.Hour)
		pending(t, n.world)
	}
	checkKeys(t, n.world, "a.example", "dkim signing")
	for range 3 {
		n.pass(24 * time.Hour)
		pending(t, n.world)
	}
	if got := keysOf(t, n.world, "a.example"); !strings.HasPrefix(got, "dkim old, dkim-202603") || !strings.HasSuffix(got, " signing") {
		t.Errorf("keys: %s", got)
	}
}

// Looking is no change: a year of it leaves no line behind.
func TestLooksAtKeysLeaveNoHistory(t *testing.T) {
	n := newNamed(t, "a.example")
	n.set(t, "dns", "none")
	addSigned(t, n.world, "a.example")
	was := stateOf(t, n.world).Revision
	for range 30 {
		n.pass(24 * time.Hour)
		pending(t, n.world)
	}
	past, _, err := n.DomainHistory(t.Context(), as("user1"), HistoryQuery{Elid: "a.example", Limit: 100})
	if err != nil || len(past) != 1 {
		t.Errorf("%d changes in the history, %v", len(past), err)
	}
	if now := stateOf(t, n.world).Revision; now != was {
		t.Errorf("%d revisions came of looking", now-was)
	}
	if k := keyRows(t, n.world, "a.example")[0]; k.Tries == 0 || !k.Due.After(n.db.Now().Add(-time.Hour)) {
		t.Errorf("%+v", k)
	}
}

// A key moves here from another server, which had its record put into DNS.
func TestImportedKeyKeepsTheSelectorUnderWhichItsRecordStands(t *testing.T) {
	moved, err := mail.NewRSAKey(1024)
	if err != nil {
		t.Fatal(err)
	}
	text, err := moved.PEM()
	if err != nil {
		t.Fatal(err)
	}
	n := newNamed(t, "a.example\nmail2019._domainkey TXT \""+moved.Record().String()[:200]+"\" \""+moved.Record().String()[200:]+"\"\n")
	addSigned(t, n.world, "a.example")
	pending(t, n.world)
	checkKeys(t, n.world, "a.example", "dkim signing")
	give := func(selector string) error {
		_, err := n.ImportKey(t.Context(), as("user1"), "a.example", string(text), selector)
		return err
	}
	checkError(t, "a selector that is used", give("dkim"), mail.Exists, "selector", "exists_selector")
	checkError(t, "no selector", give("a_b"), mail.Invalid, "selector", "value_dkim_selector")
	if err := give("mail2019"); err != nil {
		t.Fatal(err)
	}
	checkError(t, "the same again", give("mail2019"), mail.Exists, "selector", "exists_selector")
	pending(t, n.world)
	checkKeys(t, n.world, "a.example", "dkim old, mail2019 signing")
	if got := signsWith(t, n.world, "a.example"); got != "mail2019" {
		t.Errorf("Exim signs with %s", got)
	}
	n.hasRecords(t, "mail2019._domainkey.a.example", wire.TypeTXT, moved.Record().String())

	// It is the domain's key as long as that keeps its selector, also after it came back.
	change(t, n.world, as("user1"), "a.example", dnsEdit("greylist", "on"))
	follow(t, n.world)
	checkKeys(t, n.world, "a.example", "dkim old, mail2019 signing")
	group(t, n.DeleteDomains, as("user1"), "a.example")
	rows, _, err := n.ListDeleted(t.Context(), as("user1"), mail.Query{Sort: "id", Limit: 9})
	if err != nil || len(rows) != 1 {
		t.Fatalf("%v, %v", rows, err)
	}
	group(t, n.RestoreDeleted, as("user1"), fmt.Sprint(rows[0].ID))
	pending(t, n.world)
	checkKeys(t, n.world, "a.example", "dkim old, mail2019 signing")
	n.pass(mail.QueueLifetime)
	change(t, n.world, as("user1"), "a.example", dnsEdit("dkim_selector", "next"))
	pending(t, n.world)
	checkKeys(t, n.world, "a.example", "mail2019 old, next signing")
}

func TestImportedKeySignsOnceItIsSeen(t *testing.T) {
	n := newNamed(t, "a.example")
	addSigned(t, n.world, "a.example")
	pending(t, n.world)
	mine, err := mail.NewRSAKey(1024)
	if err != nil {
		t.Fatal(err)
	}
	text, err := mine.PEM()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := n.ImportKey(t.Context(), as("user1"), "a.example", "some words\n"+string(text), ""); err != nil {
		t.Fatal(err)
	}
	n.hasRecords(t, "dkim-20260301._domainkey.a.example", wire.TypeTXT, mine.Record().String())
	if s, pem, err := n.ExportKey(t.Context(), as("admin"), "a.example"); err != nil || s != "dkim" || pem == string(text) {
		t.Errorf("before it is seen, %s is shown, %v", s, err)
	}
	pending(t, n.world)
	checkKeys(t, n.world, "a.example", "dkim old, dkim-20260301 signing")
	if s, pem, err := n.ExportKey(t.Context(), as("reseller1"), "a.example"); err != nil || s != "dkim-20260301" || pem != string(text) {
		t.Errorf("%s %v", s, err)
	}

	// Nobody gets what is not for him, and nothing comes of what is no key.
	_, _, err = n.ExportKey(t.Context(), as("user1"), "a.example")
	checkError(t, "export by the owner", err, mail.Access, "level", "")
	_, _, err = n.ExportKey(t.Context(), as("reseller2"), "a.example")
	checkError(t, "export by another reseller", err, mail.NotFound, "elid", "")
	_, err = n.ImportKey(t.Context(), as("user4"), "a.example", string(text), "")
	checkError(t, "import by a stranger", err, mail.NotFound, "elid", "")
	long, err := mail.NewRSAKey(2048)
	if err != nil {
		t.Fatal(err)
	}
	ed, err := mail.NewEd25519Key()
	if err != nil {
		t.Fatal(err)
	}
	for what, k := range map[string]mail.DKIMKey{"another length": long, "an algorithm that is off": ed} {
		text, err := k.PEM()
		if err != nil {
			t.Fatal(err)
		}
		_, err = n.ImportKey(t.Context(), as("user1"), "a.example", string(text), "")
		checkError(t, what, err, mail.Invalid, "private", "value_private")
	}
	_, err = n.ImportKey(t.Context(), as("user1"), "a.example", "-----BEGIN PRIVATE KEY-----\n", "")
	checkError(t, "no key", err, mail.Invalid, "private", "value_private")
	checkKeys(t, n.world, "a.example", "dkim old, dkim-20260301 signing")
	if strings.Contains(n.log.String(), "BEGIN") || !strings.Contains(n.log.String(), "a private key was shown") {
		t.Errorf("log: %s", n.log)
	}
}

func TestHistoryHasNoPrivateKey(t *testing.T) {
	n := newNamed(t, "a.example")
	addSigned(t, n.world, "a.example")
	pending(t, n.world)
	group(t, n.RotateKeys, as("user1"), "a.example")
	pending(t, n.world)
	past, _, err := n.DomainHistory(t.Context(), as("user1"), HistoryQuery{Elid: "a.example", Limit: 100})
	if err != nil || len(past) != 4 {
		t.Fatalf("%+v, %v", past, err)
	}
	if want := fmt.Sprint([]Setting{{"keys", "dkim rsa 1024 signing", "dkim rsa 1024 signing, dkim-20260301 rsa 1024 new"}}); fmt.Sprint(past[1].Settings) != want {
		t.Errorf("%v, want %s", past[1].Settings, want)
	}
	for _, k := range keyRows(t, n.world, "a.example") {
		pem, err := k.Key.PEM()
		if err != nil {
			t.Fatal(err)
		}
		secret := strings.Split(string(pem), "\n")[3]
		for what, text := range map[string]string{"history": fmt.Sprintf("%+v", past), "log": n.log.String()} {
			if strings.Contains(text, secret) {
				t.Errorf("the %s has a private key", what)
			}
		}
	}
	_, err = n.Undo(t.Context(), as("user1"), "a.example", fmt.Sprint(past[1].ID))
	checkError(t, "undo of a rotation", err, mail.Invalid, "change", "value_change")
	// The next owner does not see what the last one did with keys.
	pass(t, n, "user2")
	past, _, err = n.DomainHistory(t.Context(), as("user2"), HistoryQuery{Elid: "a.example", Limit: 100})
	if err == nil && len(past) != 0 {
		t.Errorf("%+v", past)
	}
}

// pass gives a.example to another owner.
func pass(t *testing.T, n *named, owner string) {
	t.Helper()
	done, err := n.PassDomains(t.Context(), as("admin"), []string{"a.example"}, owner)
	all(t, done, err)
}

// A domain that is brought back signs when its record, which was taken away, is back.
func TestRestoredDomainSignsWhenItsRecordIsBack(t *testing.T) {
	n := newNamed(t, "a.example")
	addSigned(t, n.world, "a.example")
	pending(t, n.world)
	was := keyRows(t, n.world, "a.example")[0].Key.Record().String()
	group(t, n.DeleteDomains, as("user1"), "a.example")
	n.hasRecords(t, "dkim._domainkey.a.example", wire.TypeTXT)
	n.hasRecords(t, "a.example", wire.TypeTXT)
	n.bind.Stop()
	restore(t, n.world, as("user1"), "a.example")
	checkKeys(t, n.world, "a.example", "dkim new")
	if got := signsWith(t, n.world, "a.example"); got != "" {
		t.Errorf("signs with %q, which is not in DNS", got)
	}
	n.bind.Restart()
	n.pass(time.Hour)
	pending(t, n.world)
	n.pass(time.Hour)
	pending(t, n.world)
	n.hasRecords(t, "dkim._domainkey.a.example", wire.TypeTXT, was)
	checkKeys(t, n.world, "a.example", "dkim signing")
	checkConsistent(t, n.world)
}

// The files of example.com and its selector "au" are not those of example.com.au.
func TestSelectorsDoNotReachIntoOtherDomains(t *testing.T) {
	w, _ := coreWorld(t)
	addSigned(t, w, "a.example.com")
	addSigned(t, w, "example.com.au", "dkim_selector", "dkim")
	addSigned(t, w, "example.com", "dkim_selector", "other")
	theirs := w.everything(t)
	for _, s := range []string{"au", "au.dkim", "au-dkim"} {
		change(t, w, as("user1"), "example.com", dnsEdit("dkim_selector", s))
		checkConsistent(t, w)
	}
	group(t, w.DeleteDomains, as("user1"), "example.com")
	now := w.everything(t)
	for p, was := range theirs {
		if strings.Contains(p, "example.com.au") && now[p] != was {
			t.Errorf("%s is not what it was", p)
		}
	}
	for p := range now {
		if strings.Contains(p, "example.com_") && !strings.Contains(p, "a.example.com_") || strings.HasSuffix(p, "/example.com.private") {
			t.Errorf("%s is left", p)
		}
	}
	checkConsistent(t, w)
	if got := reconcile(t, w); len(got) != 0 {
		t.Errorf("put right: %q", got)
	}
}

// Callers who change the length of one domain's key at once, and turn others over.
func TestKeysFitTheirDomainsHoweverManyChangeThem(t *testing.T) {
	w, c := coreWorld(t)
	var names []string
	for i := range 12 {
		names = append(names, fmt.Sprintf("d%d.example", i))
		addSigned(t, w, names[i], "dkim_ed25519", "on")
	}
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			change(t, w, as("user1"), "d0.example", dnsEdit("dkim_keylen", []string{"1024", "2048"}[i%2], "dkim_selector", []string{"dkim", "mail"}[i/2%2]))
		})
	}
	wg.Go(func() { group(t, w.RotateKeys, as("user1"), names[1:]...) })
	wg.Wait()
	for _, n := range names {
		d := domainOf(t, w, n)
		records := map[string]bool{}
		for _, k := range keyRows(t, w, n) {
			if k.Key.Algorithm() == mail.DKIMRSA && k.Key.Bits() != d.DKIMKeylen || !strings.HasPrefix(k.Selector.String(), d.DKIMSelector.String()) {
				t.Errorf("%s, set to %s %d, has %s %s", n, d.DKIMSelector, d.DKIMKeylen, k.Selector, k.Key)
			}
			records[k.Selector.String()+"._domainkey."+n+" TXT"] = true
		}
		if len(records) != 2 {
			t.Errorf("%s has %d keys", n, len(records))
		}
		for stands := range c.stands {
			if strings.Contains(stands, "_domainkey."+n+" ") && !records[stands] {
				t.Errorf("%s stands, and belongs to no key", stands)
			}
			delete(records, stands)
		}
		if len(records) > 0 {
			t.Errorf("not handed over: %v", records)
		}
	}
	checkConsistent(t, w)
}
