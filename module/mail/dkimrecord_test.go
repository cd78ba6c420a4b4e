package mail

import (
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// The key of RFC 6376 appendix C, also published by go-msgauth and others.
const keyOfRFC6376 = "MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQDwIRP/UC3SBsEmGqZ9ZJW3/DkMoGeLnQg1fWn7/zYtIxN2SnFCjxOCKG9v3b4jYfcTNh5ijSsq631uBItLa7od+v/RtdC2UzJ1lWT947qR+Rcac2gbto/NMqJ0fzfVjH4OuKhitdY9tf6mcwGjaNBcWToIMmPSPDdQPNUYckcQ2QIDAQAB"

func TestSpellingsOfOneKeyRecord(t *testing.T) {
	want, err := ParseDKIMRecord("v=DKIM1; p=" + keyOfRFC6376)
	if err != nil || want.Bits() != 1024 || want.Algorithm != DKIMRSA {
		t.Fatalf("%+v, %v", want, err)
	}
	spki, err := x509.ParsePKIXPublicKey(want.Key)
	if err != nil {
		t.Fatal(err)
	}
	bare := base64.StdEncoding.EncodeToString(x509.MarshalPKCS1PublicKey(spki.(*rsa.PublicKey)))
	for _, s := range []string{
		"p=" + keyOfRFC6376,
		"p=" + keyOfRFC6376 + ";",
		"p=" + keyOfRFC6376 + " ; ",
		"v=DKIM1;k=rsa;p=" + keyOfRFC6376,
		"v = DKIM1 ;\r\n\tk = rsa; p = " + keyOfRFC6376[:60] + " \r\n " + keyOfRFC6376[60:],
		"v=DKIM1; h=sha256:sha1; s=*; t=s; n=a note; x=y; p=" + keyOfRFC6376,
		"v=DKIM1; s=email; h=sha256; k=rsa; p=" + keyOfRFC6376,
		"k=rsa; p=" + bare,
	} {
		r, err := ParseDKIMRecord(s)
		if err != nil || !r.SameKey(want) || !want.SameKey(r) || !r.Takes() || r.Testing {
			t.Errorf("%q: %+v, %v", s, r, err)
		}
	}
}

func TestKeyRecordsThatAreNone(t *testing.T) {
	for _, s := range []string{
		"", ";", "v=DKIM1", "v=DKIM1; k=rsa", "v=DKIM2; p=" + keyOfRFC6376, "k=rsa; v=DKIM1; p=" + keyOfRFC6376,
		"v=DKIM1; p=" + keyOfRFC6376 + "; p=", "v=DKIM1; p=***", "v=DKIM1 k=rsa p=" + keyOfRFC6376, "v=DKIM1; k=; p=", "p=\u00e4", "=; p=", "v=DKIM1;; p=",
		"v=spf1 -all",
	} {
		if r, err := ParseDKIMRecord(s); err == nil {
			t.Errorf("%q is read as %+v", s, r)
		}
	}
}

func TestRecordsThatDoNotTakeOurSignatures(t *testing.T) {
	for s, want := range map[string]struct{ takes, testing, revoked bool }{
		"p=":                                      {true, false, true},
		"v=DKIM1; h=sha1; p=" + keyOfRFC6376:      {false, false, false},
		"v=DKIM1; s=other; p=" + keyOfRFC6376:     {false, false, false},
		"v=DKIM1; s=x:email; p=" + keyOfRFC6376:   {true, false, false},
		"v=DKIM1; t=y; p=" + keyOfRFC6376:         {true, true, false},
		"v=DKIM1; t=s : y; p=" + keyOfRFC6376:     {true, true, false},
		"v=DKIM1; h=; t=; s=; p=" + keyOfRFC6376:  {true, false, false},
		"v=DKIM1; k=rsa; n=; p=" + "   " + "\t\r": {true, false, true},
	} {
		r, err := ParseDKIMRecord(s)
		if err != nil || r.Takes() != want.takes || r.Testing != want.testing || r.Revoked() != want.revoked {
			t.Errorf("%q: %+v, %v", s, r, err)
		}
	}
}

func TestKeysOfDifferentAlgorithmsAreNotTheSame(t *testing.T) {
	ks := newKeys(t)
	for i, a := range ks {
		for j, b := range ks {
			if got := a.Record().SameKey(b.Record()); got != (i == j) {
				t.Errorf("%v and %v: same is %v", a, b, got)
			}
		}
	}
	ed := ks[2].Record()
	ed.Algorithm = DKIMRSA
	if ed.Bits() != 0 || ed.SameKey(ks[2].Record()) {
		t.Error("an Ed25519 key is no RSA key")
	}
}

func TestWrittenKeyRecordsAreReadBack(t *testing.T) {
	word := rapid.StringMatching(`[a-z][a-z0-9-]{0,8}`)
	rapid.Check(t, func(t *rapid.T) {
		r := DKIMRecord{
			Algorithm: DKIMAlgorithm(word.Draw(t, "k")),
			Key:       rapid.SliceOfN(rapid.Byte(), 0, 600).Draw(t, "p"),
			Hashes:    rapid.SliceOfN(word, 0, 3).Draw(t, "h"),
			Services:  rapid.SliceOfN(word, 0, 3).Draw(t, "s"),
			Testing:   rapid.Bool().Draw(t, "y"),
			Strict:    rapid.Bool().Draw(t, "strict"),
			Notes:     strings.TrimSpace(rapid.StringMatching(`[ -:<-~]{0,20}`).Draw(t, "n")),
		}
		again, err := ParseDKIMRecord(r.String())
		if err != nil || again.String() != r.String() || string(again.Key) != string(r.Key) {
			t.Fatalf("%q came back as %q, %v", r, again, err)
		}
	})
}

func FuzzDKIMRecord(f *testing.F) {
	f.Add("v=DKIM1; h=sha256; k=rsa; s=email; p=" + keyOfRFC6376)
	f.Add("v=DKIM1; t=y:s; n=x; p=")
	f.Fuzz(func(t *testing.T, s string) {
		r, err := ParseDKIMRecord(s)
		if err != nil {
			return
		}
		again, err := ParseDKIMRecord(r.String())
		if err != nil || again.String() != r.String() {
			t.Errorf("%q is %q, which is %q, %v", s, r, again, err)
		}
	})
}
