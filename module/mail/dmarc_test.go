package mail

import (
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestSpellingsOfOneDMARCPolicy(t *testing.T) {
	want, err := ParseDMARC("v=DMARC1; p=none; rua=mailto:a@b.example,mailto:c@d.example")
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range []string{
		"v=DMARC1;p=none;rua=mailto:a@b.example,mailto:c@d.example",
		"v = DMARC1 ; p = None ; rua = mailto:a@b.example , MAILTO:c@d.example ;",
		"v=DMARC1; rua=mailto:c@d.example,mailto:a@b.example; p=NONE",
		"v=DMARC1; P=none; sp=none; adkim=r; aspf=R; pct=100; ri=86400; rf=afrf; fo=0; t=n; psd=u; np=none; RUA=mailto:a@b.example,mailto:c@d.example",
		"v=DMARC1; p=none; unknown=x; rua=mailto:a@b.example,mailto:c@d.example",
	} {
		d, err := ParseDMARC(s)
		if err != nil || len(want.Differences(d)) > 0 || len(d.Differences(want)) > 0 {
			t.Errorf("%q: %q, %v: %v", s, d, err, want.Differences(d))
		}
	}
}

func TestDifferencesOfPoliciesAreNamed(t *testing.T) {
	want, err := ParseDMARC("v=DMARC1; p=none")
	if err != nil {
		t.Fatal(err)
	}
	for s, diff := range map[string]string{
		"v=DMARC1; p=reject":                       "p=reject, not p=none|sp=reject, not sp=none|np=reject, not np=none",
		"v=DMARC1; p=none; sp=reject; np=none":     "sp=reject, not sp=none",
		"v=DMARC1; p=none; adkim=s":                "adkim=s, not adkim=r",
		"v=DMARC1; p=none; pct=50":                 "pct=50, not pct=100",
		"v=DMARC1; p=none; rua=mailto:a@b.example": "rua=mailto:a@b.example, not rua=",
		"v=DMARC1; p=none; fo=d:1":                 "fo=1:d, not fo=0",
		"v=DMARC1; p=none; t=y":                    "t=y, not t=n",
		"v=DMARC1; rua=mailto:a@b.example; t=y":    "rua=mailto:a@b.example, not rua=|t=y, not t=n",
		"v=DMARC1; p=none;":                        "",
	} {
		d, err := ParseDMARC(s)
		if got := strings.Join(want.Differences(d), "|"); err != nil || got != diff {
			t.Errorf("%q: %q, %v; want %q", s, got, err, diff)
		}
	}
}

func TestTagsThatRFC9989DropsAreNamed(t *testing.T) {
	d, err := ParseDMARC("v=DMARC1; p=none; ri=3600; pct=5; rf=afrf; t=y")
	if got := d.Dropped(); err != nil || !slices.Equal(got, []string{"pct", "rf", "ri"}) {
		t.Errorf("%v, %v", got, err)
	}
	if d, err := ParseDMARC("v=DMARC1; p=none"); err != nil || d.Dropped() != nil {
		t.Errorf("%v, %v", d.Dropped(), err)
	}
}

func TestDMARCRecordsThatAreNone(t *testing.T) {
	for _, s := range []string{
		"", "v=DMARC1", "v=DMARC1;", "v=dmarc1; p=none", "v=DMARC12; p=none", "p=none; v=DMARC1", "v=DMARC1; p=maybe", "v=DMARC1; p=", "v=DMARC1; p=none; p=none",
		"v=DMARC1; p=none; P=none", "v=DMARC1; p=none; pct=101", "v=DMARC1; p=none; pct=-1", "v=DMARC1; p=none; rua=admin@a.example", "v=DMARC1; p=none; rua=mailto:admin",
		"v=DMARC1; p=none; adkim=x", "v=DMARC1 p=none", "v=DMARC1; p=none; sp", "v=spf1 -all", "v=DMARC1; p=none; rua=mailto:a@b.example mailto:c@d.example",
	} {
		if d, err := ParseDMARC(s); err == nil {
			t.Errorf("%q is read as %q", s, d)
		}
	}
}

func TestWhatReceiversTakeForDMARC(t *testing.T) {
	for s, want := range map[string]bool{
		"v=DMARC1": true, "v=DMARC1;": true, "v = DMARC1 ; p=x": true, "v=DMARC1; garbage": true,
		"v=DMARC10": false, "V=DMARC1": false, "v=spf1": false, "": false, " v=DMARC1": false,
	} {
		if IsDMARC(s) != want {
			t.Errorf("IsDMARC(%q) is %v", s, !want)
		}
	}
}

func TestTemplateIsFilledForTheDomain(t *testing.T) {
	a, err := ParseAddress("admin+x@пример.рф")
	if err != nil {
		t.Fatal(err)
	}
	d, err := DMARCTemplate("v=DMARC1; p=quarantine; rua=mailto:__email__,mailto:dmarc@__domain__", a.Domain, a)
	want := "v=DMARC1; p=quarantine; rua=mailto:admin+x@xn--e1afmkfd.xn--p1ai,mailto:dmarc@xn--e1afmkfd.xn--p1ai"
	if err != nil || d.String() != want {
		t.Errorf("%q, %v", d, err)
	}
	if d, err := DMARCTemplate("v=DMARC1; rua=mailto:__nobody__; p=sometimes", a.Domain, a); err == nil {
		t.Errorf("a wrong template gives %q", d)
	}
}

func TestWrittenPoliciesAreReadBack(t *testing.T) {
	policy := rapid.SampledFrom([]string{"none", "quarantine", "reject", "Reject"})
	rapid.Check(t, func(t *rapid.T) {
		s := "v=DMARC1; p=" + policy.Draw(t, "p")
		for _, tag := range rapid.Permutation([]string{
			"sp=" + policy.Draw(t, "sp"), "np=" + policy.Draw(t, "np"), "adkim=s", "aspf=r", "fo=1:d:s", "t=y", "psd=n", "pct=7", "ri=1", "rf=afrf",
			"rua=mailto:a@b.example!10m", "ruf=https://x.example/y", "other=z",
		}).Draw(t, "tags")[:rapid.IntRange(0, 13).Draw(t, "n")] {
			s += " ; " + tag
		}
		d, err := ParseDMARC(s)
		if err != nil {
			t.Fatalf("%q: %v", s, err)
		}
		again, err := ParseDMARC(d.String())
		if err != nil || again.String() != d.String() || len(d.Differences(again)) > 0 {
			t.Fatalf("%q is %q, which is %q, %v", s, d, again, err)
		}
	})
}

func FuzzDMARC(f *testing.F) {
	f.Add("v=DMARC1; p=none; rua=mailto:a@b.example; fo=0:1:d:s; pct=10; x=y")
	f.Fuzz(func(t *testing.T, s string) {
		d, err := ParseDMARC(s)
		if err != nil {
			return
		}
		again, err := ParseDMARC(d.String())
		if err != nil || again.String() != d.String() || len(d.Differences(again)) > 0 {
			t.Errorf("%q is %q, which is %q, %v", s, d, again, err)
		}
	})
}

func TestOthersThatGetReportsHaveToAgree(t *testing.T) {
	for s, want := range map[string]string{
		"v=DMARC1; p=none": "",
		"v=DMARC1; p=none; rua=mailto:a@shop.co.uk,mailto:b@mail.shop.co.uk":                           "",
		"v=DMARC1; p=none; rua=mailto:a@other.co.uk!10m,https://x.example/y; ruf=mailto:b@other.co.uk": "sub.shop.co.uk._report._dmarc.other.co.uk",
		"v=DMARC1; p=none; rua=mailto:a@r.example,mailto:b@пример.рф":                                  "error",
		"v=DMARC1; p=none; rua=mailto:a@b@c.example,mailto:x@r.example,mailto:y@xn--e1afmkfd.xn--p1ai": "sub.shop.co.uk._report._dmarc.r.example sub.shop.co.uk._report._dmarc.xn--e1afmkfd.xn--p1ai",
	} {
		d, err := ParseDMARC(s)
		if want == "error" {
			if err == nil {
				t.Errorf("%q is read as %q", s, d)
			}
			continue
		}
		var got []string
		for _, r := range (Publication{Domain: mustName(t, "sub.shop.co.uk"), DMARC: &d}).Elsewhere() {
			got = append(got, r.Name)
			checkVerdict(t, r.Name, r.Compare([]string{"x", "v=DMARC1"}, Evidence{}), Right, CheckOK)
			checkVerdict(t, r.Name, r.Compare([]string{"v=spf1 -all"}, Evidence{}), Wrong, CheckDMARCReports)
		}
		if err != nil || strings.Join(got, " ") != want {
			t.Errorf("%q: %q, %v", s, got, err)
		}
	}
	if rs := (Publication{Domain: mustName(t, "a.example")}).Elsewhere(); rs != nil {
		t.Errorf("%+v", rs)
	}
}
