package mail

import (
	"errors"
	"net/netip"
	"slices"
	"strings"
	"testing"
)

func recordFor(t testing.TB, why Purpose) Record {
	t.Helper()
	rs := mustRecords(t, testPublication(t, "example.com"))
	i := slices.IndexFunc(rs, func(r Record) bool { return r.Why == why })
	return rs[i]
}

// checkVerdict holds a verdict against its sentence, and the sentence's
// placeholders against what fills them.
func checkVerdict(t *testing.T, what string, v Verdict, state State, text string) {
	t.Helper()
	if v.State != state || v.Text != text {
		t.Errorf("%s: %+v, want %s %s", what, v, state, text)
	}
	names, known := CheckTexts[v.Text]
	if !known {
		t.Errorf("%s: %q is no sentence", what, v.Text)
	}
	for _, n := range names {
		if _, ok := v.Args[n]; !ok {
			t.Errorf("%s: %s lacks %s", what, v.Text, n)
		}
	}
	if len(v.Args) != len(names) {
		t.Errorf("%s: %s has %v", what, v.Text, v.Args)
	}
}

func TestMXIsHeldAgainstWhereMailGoes(t *testing.T) {
	r := recordFor(t, ForMX)
	ours := Evidence{Hosts: map[string]State{"other-name-of-ours.example": Right, "elsewhere.example": Wrong}}
	for found, want := range map[string]string{
		"":                                      CheckMissing,
		"10 host.panel.example":                 CheckOK,
		"0 HOST.panel.example.":                 CheckOK,
		"5 other-name-of-ours.example":          CheckOK,
		"10 host.panel.example|20 backup.test":  CheckOK,
		"10 host.panel.example|10 backup.test":  CheckMXElsewhere,
		"10 host.panel.example|5 backup.test":   CheckMXElsewhere,
		"10 elsewhere.example":                  CheckMXElsewhere,
		"0 .":                                   CheckMXNull,
		"garbage":                               CheckMissing,
		"20 host.panel.example|10 mx.a.example": CheckMXElsewhere,
	} {
		v := r.Compare(strings.FieldsFunc(found, func(c rune) bool { return c == '|' }), ours)
		state := Wrong
		if want == CheckOK {
			state = Right
		}
		checkVerdict(t, found, v, state, want)
	}
	v := r.Compare([]string{"10 host.panel.example"}, Evidence{Hosts: map[string]State{"host.panel.example": Wrong}})
	checkVerdict(t, "leads nowhere", v, Wrong, CheckMXUnresolved)
}

func TestSPFIsRightWhenOurAddressesPass(t *testing.T) {
	r := recordFor(t, ForSPF)
	say := func(a, b, c SPFOutcome) Evidence {
		return Evidence{SPF: map[netip.Addr]SPFOutcome{
			netip.MustParseAddr("192.0.2.1"): a, netip.MustParseAddr("192.0.2.2"): b, netip.MustParseAddr("2001:db8::1"): c,
		}}
	}
	pass, fail := SPFOutcome{Result: SPFPass}, SPFOutcome{Result: SPFFail}
	temp := SPFOutcome{Result: SPFTempError, Err: errors.New("no answer")}
	perm := SPFOutcome{Result: SPFPermError, Err: errors.New("more than 10 look-ups")}
	for _, c := range []struct {
		found []string
		e     Evidence
		state State
		text  string
	}{
		{r.Values, Evidence{}, Right, CheckOK},
		{[]string{"google-site-verification=x", strings.ToUpper(r.Values[0])}, Evidence{}, Right, CheckOK},
		{nil, Evidence{}, Wrong, CheckMissing},
		{[]string{"v=spf10 -all"}, Evidence{}, Wrong, CheckMissing},
		{[]string{"v=spf1 mx -all"}, say(pass, pass, pass), Right, CheckOK},
		{[]string{"v=spf1 mx -all"}, say(pass, fail, pass), Wrong, CheckSPFDenies},
		{[]string{"v=spf1 mx -all"}, say(pass, temp, pass), Unknown, CheckSPFUnasked},
		{[]string{"v=spf1 mx -all"}, say(temp, fail, temp), Wrong, CheckSPFDenies},
		{[]string{"v=spf1 mx -all"}, say(pass, perm, pass), Wrong, CheckSPFBroken},
		{[]string{"v=spf1 mx -all"}, Evidence{}, Unknown, CheckSPFUnasked},
		{[]string{"v=spf1 mx -al"}, Evidence{}, Wrong, CheckSPFBroken},
		{[]string{r.Values[0], "v=spf1 mx -all"}, say(pass, pass, pass), Wrong, CheckSPFSeveral},
	} {
		v := r.Compare(c.found, c.e)
		checkVerdict(t, strings.Join(c.found, "|"), v, c.state, c.text)
		if (v.Proposal != "") != (v.State == Wrong) {
			t.Errorf("%q: proposal %q", c.found, v.Proposal)
		}
		if v.Proposal != "" {
			mustSPF(t, v.Proposal)
		}
	}
}

func TestDKIMIsHeldByItsKey(t *testing.T) {
	r := recordFor(t, ForDKIM)
	key := r.Values[0][strings.Index(r.Values[0], "p="):]
	for found, want := range map[string]string{
		"":                                CheckMissing,
		key:                               CheckOK,
		"v=DKIM1;k=rsa;" + key:            CheckOK,
		r.Values[0] + ";":                 CheckOK,
		key[:50] + "\t" + key[50:]:        CheckOK,
		"p=" + keyOfRFC6376:               CheckDKIMOther,
		"k=ed25519; " + key:               CheckDKIMOther,
		"v=DKIM1; p=":                     CheckDKIMRevoked,
		"t=y; " + key:                     CheckDKIMTesting,
		"h=sha1; " + key:                  CheckDKIMNarrow,
		"s=other; " + key:                 CheckDKIMNarrow,
		"v=spf1 -all":                     CheckDKIMBroken,
		r.Values[0][:len(r.Values[0])-30]: CheckDKIMBroken,
		key + "|" + key + ";":             CheckDKIMSeveral,
	} {
		v := r.Compare(strings.FieldsFunc(found, func(c rune) bool { return c == '|' }), Evidence{})
		if want == CheckOK {
			checkVerdict(t, found, v, Right, want)
			continue
		}
		if want == CheckDKIMBroken && v.Text == CheckDKIMOther { // cut where base64 still reads
			want = CheckDKIMOther
		}
		checkVerdict(t, found, v, Wrong, want)
		if v.Proposal != r.Values[0] {
			t.Errorf("%s: proposal %q", found, v.Proposal)
		}
	}
}

func TestDMARCOfAnotherStandsAndDifferencesAreShown(t *testing.T) {
	r := recordFor(t, ForDMARC)
	for found, want := range map[string]string{
		"":                 CheckMissing,
		"V=DMARC1; p=none": CheckMissing,
		"v=DMARC1;p=None;rua=mailto:admin@example.com;":            CheckOK,
		"v=DMARC1; p=reject":                                       CheckDMARCDiffers,
		"v=DMARC1; p=often":                                        CheckDMARCBroken,
		"v=DMARC1; p=none|v=DMARC1; p=none":                        CheckDMARCSeveral,
		"something|v=DMARC1; p=none; rua=mailto:admin@example.com": CheckOK,
	} {
		v := r.Compare(strings.FieldsFunc(found, func(c rune) bool { return c == '|' }), Evidence{})
		state := Wrong
		if want == CheckOK {
			state = Right
		}
		checkVerdict(t, found, v, state, want)
		if want == CheckDMARCDiffers && !strings.Contains(v.Args["differences"], "p=reject, not p=none") {
			t.Errorf("%v", v.Args)
		}
	}
}

// Who follows what is proposed loses neither the policy nor the reports that he has.
func TestProposalForDMARCOfAnotherKeepsWhatItSays(t *testing.T) {
	r := recordFor(t, ForDMARC)
	for found, want := range map[string]string{
		"v=DMARC1; p=reject": "v=DMARC1; p=reject; rua=mailto:admin@example.com",
		"v=DMARC1; p=quarantine; sp=reject; adkim=s; pct=50; x=y; ruf=mailto:f@example.com; rua=mailto:a@reports.test!10m, https://b.reports.test/": "v=DMARC1; p=quarantine; sp=reject; adkim=s; rua=mailto:a@reports.test!10m,https://b.reports.test/,mailto:admin@example.com; ruf=mailto:f@example.com; pct=50; x=y",
		"v=DMARC1; p=reject; rua=mailto:admin@example.com": "v=DMARC1; p=reject; rua=mailto:admin@example.com",
	} {
		v := r.Compare([]string{found}, Evidence{})
		checkVerdict(t, found, v, Wrong, CheckDMARCDiffers)
		if v.Proposal != want {
			t.Errorf("%s: proposal %q, want %q", found, v.Proposal, want)
		}
	}
}

func TestHostLeadsHereAndNowhereElse(t *testing.T) {
	r := recordFor(t, ForHost)
	checkVerdict(t, "none", r.Compare(nil, Evidence{}), Wrong, CheckMissing)
	checkVerdict(t, "all", r.Compare([]string{"192.0.2.2", "192.0.2.1"}, Evidence{}), Right, CheckOK)
	checkVerdict(t, "one", r.Compare([]string{"192.0.2.2"}, Evidence{}), Right, CheckOK)
	checkVerdict(t, "other", r.Compare([]string{"192.0.2.2", "192.0.2.3"}, Evidence{}), Wrong, CheckHostOther)
}

func TestWhatOthersHaveBesideOurs(t *testing.T) {
	for _, c := range []struct {
		why    Purpose
		others []string
		stands bool
		state  State
		text   string
	}{
		{ForSPF, nil, false, Unknown, ""},
		{ForSPF, []string{"google-site-verification=x"}, false, Unknown, ""},
		{ForSPF, []string{"v=spf1 ip4:192.0.2.1/32 ip4:192.0.2.2 ip6:2001:DB8::1 ~all"}, false, Right, CheckOK},
		{ForSPF, []string{"v=spf1 mx -all", "x"}, false, Wrong, CheckSPFDenies},
		{ForSPF, []string{"v=spf1 mx -all", "v=spf1 a"}, false, Wrong, CheckSPFSeveral},
		{ForDMARC, []string{"v=DMARC1; p=reject"}, false, Wrong, CheckDMARCDiffers},
		{ForDMARC, []string{"v=DMARC1; p=none; rua=mailto:admin@example.com;"}, false, Right, CheckOK},
		{ForDMARC, []string{"v=spf1 -all"}, false, Unknown, ""},
		{ForDKIM, []string{"p=" + keyOfRFC6376}, false, Wrong, CheckDKIMOther},
		{ForMX, nil, false, Unknown, ""},
		{ForMX, []string{"5 elsewhere.example"}, false, Wrong, CheckMXElsewhere},
		{ForMX, []string{"10 elsewhere.example"}, false, Wrong, CheckMXElsewhere},
		{ForMX, []string{"20 backup.example"}, false, Wrong, CheckMXElsewhere},
		{ForMX, []string{"0 ."}, false, Wrong, CheckMXNull},
		{ForMX, []string{"10 host.panel.example"}, false, Unknown, ""},
		{ForMX, []string{"5 HOST.panel.example.", "20 backup.example"}, false, Unknown, ""},
		{ForMX, nil, true, Unknown, ""},
		{ForMX, []string{"5 elsewhere.example"}, true, Wrong, CheckMXElsewhere},
		{ForMX, []string{"10 elsewhere.example"}, true, Wrong, CheckMXElsewhere},
		{ForMX, []string{"20 backup.example"}, true, Unknown, ""},
		{ForMX, []string{"0 ."}, true, Wrong, CheckMXNull},
		{ForHost, nil, false, Unknown, ""},
		{ForHost, []string{"192.0.2.1"}, false, Unknown, ""},
		{ForHost, []string{"192.0.2.77"}, false, Wrong, CheckHostOther},
	} {
		v := recordFor(t, c.why).Beside(c.others, c.stands)
		if v.State != c.state || v.Text != c.text {
			t.Errorf("%s beside %q, stands %t: %+v", c.why, c.others, c.stands, v)
		}
	}
	v := recordFor(t, ForSPF).Beside([]string{"v=spf1 mx -all"}, false)
	if want := "v=spf1 ip4:192.0.2.1 ip4:192.0.2.2 ip6:2001:db8::1 mx -all"; v.Proposal != want {
		t.Errorf("proposal %q", v.Proposal)
	}
}

func TestEndlessRecordsAreNotRead(t *testing.T) {
	filler := strings.Repeat(" ip4:192.0.2.1", 1000)
	v := recordFor(t, ForSPF).Compare([]string{"v=spf1" + filler + " -all"}, Evidence{})
	checkVerdict(t, "SPF", v, Wrong, CheckSPFBroken)
	if v.Proposal != recordFor(t, ForSPF).Values[0] {
		t.Errorf("proposal %q", v.Proposal)
	}
	checkVerdict(t, "DMARC", recordFor(t, ForDMARC).Compare([]string{"v=DMARC1; p=none; x=" + filler}, Evidence{}), Wrong, CheckDMARCBroken)
	checkVerdict(t, "DKIM", recordFor(t, ForDKIM).Compare([]string{"p=" + strings.Repeat("A", 5000)}, Evidence{}), Wrong, CheckDKIMBroken)
}

func TestOtherRecordsAreComparedByValue(t *testing.T) {
	r := Record{Name: "x.example", Type: TypeMX, Values: []string{"10 a.example", "20 b.example"}}
	checkVerdict(t, "all", r.Compare([]string{"20 B.example.", "5 c.example", "10 a.example"}, Evidence{}), Right, CheckOK)
	checkVerdict(t, "one", r.Compare([]string{"10 a.example"}, Evidence{}), Wrong, CheckMissing)
}
