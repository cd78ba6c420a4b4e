package mail

import (
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
)

func mustSelector(t testing.TB, s string) Selector {
	t.Helper()
	sel, ok := ParseSelector(s)
	if !ok {
		t.Fatalf("ParseSelector(%q)", s)
	}
	return sel
}

// someKeys are a key of each kind, made once.
var someKeys = sync.OnceValues(func() ([]DKIMKey, error) {
	short, err := NewRSAKey(1024)
	long, err2 := NewRSAKey(2048)
	ed, err3 := NewEd25519Key()
	return []DKIMKey{short, long, ed}, errors.Join(err, err2, err3)
})

func newKeys(t testing.TB) []DKIMKey {
	t.Helper()
	ks, err := someKeys()
	if err != nil {
		t.Fatal(err)
	}
	return slices.Clone(ks)
}

func TestKeysHaveTheLengthThatWasAskedFor(t *testing.T) {
	ks := newKeys(t)
	for i, want := range []string{"rsa 1024", "rsa 2048", "ed25519 256"} {
		if got := ks[i].String(); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
}

func TestKeysAreReadBackFromTheirPEM(t *testing.T) {
	for _, k := range newKeys(t) {
		text, err := k.PEM()
		if err != nil {
			t.Fatal(err)
		}
		again, err := ParseDKIMKey(text)
		if err != nil {
			t.Fatalf("%v: %v", k, err)
		}
		if !again.Record().SameKey(k.Record()) || again.Bits() != k.Bits() {
			t.Errorf("%v came back as %v", k, again)
		}
		r, err := ParseDKIMRecord(k.Record().String())
		if err != nil || !r.SameKey(k.Record()) || r.Bits() != k.Bits() || !r.Takes() || r.Testing || r.Revoked() {
			t.Errorf("record of %v: %+v, %v", k, r, err)
		}
	}
}

// privateOf is what the key's PEM holds.
func privateOf(t testing.TB, k DKIMKey) crypto.Signer {
	t.Helper()
	text, err := k.PEM()
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(text)
	p, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	return p.(crypto.Signer)
}

func TestStoredKeysAreWhatWasWrittenDown(t *testing.T) {
	for _, k := range newKeys(t) {
		text, err := k.PEM()
		if err != nil {
			t.Fatal(err)
		}
		again, err := StoredDKIMKey(string(text), k.Record().String())
		if err != nil {
			t.Fatal(err)
		}
		same, err := again.PEM()
		if err != nil || string(same) != string(text) || again.String() != k.String() || again.Record().String() != k.Record().String() {
			t.Errorf("%v came back as %v, %v", k, again, err)
		}
	}
	for _, record := range []string{"", "v=DKIM1; k=rsa; p=", "v=DKIM1; k=rsa; p=AAAA"} {
		if k, err := StoredDKIMKey("x", record); err == nil {
			t.Errorf("%q is taken for %v", record, k)
		}
	}
}

// The two forms of PEM that openssl has written over the years hold one key.
func TestOldAndNewPEMAreOneKey(t *testing.T) {
	k, err := NewRSAKey(1024)
	if err != nil {
		t.Fatal(err)
	}
	old := pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(privateOf(t, k).(*rsa.PrivateKey))})
	for _, text := range [][]byte{old, append([]byte("a comment\n\n"), old...), []byte(strings.ReplaceAll(string(old), "\n", "\r\n"))} {
		got, err := ParseDKIMKey(text)
		if err != nil || !got.Record().SameKey(k.Record()) {
			t.Errorf("%v, %v", got, err)
		}
	}
}

func TestKeysThatAreRefused(t *testing.T) {
	small, err := os.ReadFile("testdata/rsa512.pem")
	if err != nil {
		t.Fatal(err)
	}
	ec, err := os.ReadFile("testdata/p256.pem")
	if err != nil {
		t.Fatal(err)
	}
	locked, err := os.ReadFile("testdata/encrypted.pem")
	if err != nil {
		t.Fatal(err)
	}
	public := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: newKeys(t)[0].Record().Key})
	for name, c := range map[string]struct {
		text []byte
		want error
	}{
		"nothing":    {nil, ErrNoKey},
		"text":       {[]byte("not a key"), ErrNoKey},
		"public":     {public, ErrNoKey},
		"garbage":    {pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: []byte("x")}), ErrNoKey},
		"512 bits":   {small, ErrKeyLength},
		"P-256":      {ec, ErrKeyKind},
		"encrypted":  {locked, ErrNoKey},
		"very long":  {make([]byte, mostPEM+1), ErrNoKey},
		"EC by name": {pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: []byte("x")}), ErrKeyKind},
	} {
		if k, err := ParseDKIMKey(c.text); !errors.Is(err, c.want) || !k.IsZero() {
			t.Errorf("%s: %v, %v; want %v", name, k, err, c.want)
		}
	}
	for _, bits := range []int{0, 512, 1023, 1536, 4096} {
		if k, err := NewRSAKey(bits); !errors.Is(err, ErrKeyLength) || !k.IsZero() {
			t.Errorf("NewRSAKey(%d) = %v, %v", bits, k, err)
		}
	}
}

func TestKeysDoNotPrintThemselves(t *testing.T) {
	for _, k := range newKeys(t) {
		text, err := k.PEM()
		if err != nil {
			t.Fatal(err)
		}
		secret := strings.Split(string(text), "\n")[1][24:48]
		printed := fmt.Sprintf("%v %+v %#v %s %v", k, k, k, k, struct{ K DKIMKey }{k})
		if strings.Contains(printed, secret) || !strings.Contains(printed, k.String()) {
			t.Errorf("printed as %s", printed)
		}
		if b, err := json.Marshal(k); err == nil {
			t.Errorf("marshalled as %s", b)
		}
	}
	if s := (DKIMKey{}).String(); s != "no key" {
		t.Errorf("the zero key prints as %q", s)
	}
	if _, err := (DKIMKey{}).PEM(); !errors.Is(err, ErrNoKey) {
		t.Errorf("PEM of no key: %v", err)
	}
}

// opendkim-genkey's own files are the measure: its key is read, and the text that
// we write of that key is its text, byte for byte.
func TestGenkeyTextIsWhatOpendkimWrites(t *testing.T) {
	genkey := program(t, "opendkim-genkey", "opendkim-tools")
	for _, bits := range []int{1024, 2048} {
		for _, c := range []struct{ selector, domain string }{
			{"dkim", "example.com"}, {"a.b-c", "xn--e1afmkfd.xn--p1ai"},
		} {
			dir := t.TempDir()
			cmd := exec.CommandContext(t.Context(), genkey, "-r", "-b", strconv.Itoa(bits), "-D", dir, "-d", c.domain, "-s", c.selector)
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			private, err := os.ReadFile(filepath.Join(dir, c.selector+".private"))
			if err != nil {
				t.Fatal(err)
			}
			k, err := ParseDKIMKey(private)
			if err != nil || k.Bits() != bits {
				t.Fatalf("their key is read as %v, %v", k, err)
			}
			theirs, err := os.ReadFile(filepath.Join(dir, c.selector+".txt"))
			if err != nil {
				t.Fatal(err)
			}
			ours := k.Record().GenkeyText(mustSelector(t, c.selector), mustName(t, c.domain))
			if ours != string(theirs) {
				t.Errorf("ours:\n%q\ntheirs:\n%q", ours, theirs)
			}
			if pem, err := k.PEM(); err != nil || string(pem) != string(private) {
				t.Errorf("the PEM of their key differs (%v)", err)
			}
			within := ours[strings.IndexByte(ours, '(')+1 : strings.LastIndexByte(ours, ')')]
			txt, err := ParseTXT(within)
			if err != nil || txt.Join() != k.Record().String() {
				t.Errorf("the strings of the file are %q, %v; the record is %q", txt.Join(), err, k.Record())
			}
		}
	}
}

// The rare lengths at which genkey's cut falls on the end of the key.
func TestGenkeyTextEndsWithAnEmptyStringWhenTheCutFallsThere(t *testing.T) {
	r := DKIMRecord{Algorithm: DKIMRSA, Key: make([]byte, 375)} // 500 characters
	text := r.GenkeyText(Selector{"s"}, Name{"a.example"})
	if !strings.Contains(text, "A\"\n\t  \"\" )") || strings.Count(text, "\n\t  \"") != 3 {
		t.Errorf("%s", text)
	}
}

// The key of RFC 8463 appendix A.2.
func TestKeyOfRFC8463(t *testing.T) {
	seed, err := base64.StdEncoding.DecodeString("nWGxne/9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A=")
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(ed25519.NewKeyFromSeed(seed))
	if err != nil {
		t.Fatal(err)
	}
	k, err := ParseDKIMKey(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
	if err != nil {
		t.Fatal(err)
	}
	r, err := ParseDKIMRecord("v=DKIM1; k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=")
	if err != nil || !r.SameKey(k.Record()) || r.Bits() != 256 {
		t.Errorf("%v, %v; ours is %v", r, err, k.Record())
	}
	hash := sha256.Sum256([]byte("a letter"))
	sig, err := privateOf(t, k).Sign(rand.Reader, hash[:], &ed25519.Options{})
	if err != nil || !ed25519.Verify(r.Key, hash[:], sig) {
		t.Errorf("the record does not verify what the key signs (%v)", err)
	}
}

func FuzzDKIMKey(f *testing.F) {
	for _, name := range []string{"rsa512.pem", "p256.pem", "encrypted.pem"} {
		text, err := os.ReadFile(filepath.Join("testdata", name))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		k, err := ParseDKIMKey(text)
		if err != nil {
			if !errors.Is(err, ErrNoKey) && !errors.Is(err, ErrKeyKind) && !errors.Is(err, ErrKeyLength) {
				t.Errorf("an error of another kind: %v", err)
			}
			return
		}
		if again, err := k.PEM(); err != nil {
			t.Error(err)
		} else if b, err := ParseDKIMKey(again); err != nil || !b.Record().SameKey(k.Record()) {
			t.Errorf("%v came back as %v, %v", k, b, err)
		}
	})
}

// program is the path of a program that a test runs: in the manner of the lab, a
// missing one fails under CI and is skipped elsewhere, with its package named.
func program(t testing.TB, name, pkg string) string {
	t.Helper()
	for _, p := range []string{name, "/usr/sbin/" + name} {
		if path, err := exec.LookPath(p); err == nil {
			return path
		}
	}
	if os.Getenv("CI") != "" {
		t.Fatalf("%s is not installed: apt-get install %s", name, pkg)
	}
	t.Skipf("%s is not installed: apt-get install %s", name, pkg)
	return ""
}
