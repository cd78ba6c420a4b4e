package module

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"maildomain/module/files"
	"maildomain/module/mail"
	"maildomain/module/store"
)

// refusing has the panel answer for some certificates, by name, with an error.
func (w *world) refusing(refused map[string]error) {
	answer := w.panel.Certificate
	w.panel.Certificate = func(ctx context.Context, owner, name string) ([]byte, []byte, bool, error) {
		if err := refused[name]; err != nil {
			return nil, nil, false, err
		}
		return answer(ctx, owner, name)
	}
}

// Certificates of the panel are followed one by one: what the panel does not give, and
// what cannot be put in place, keeps none of the others waiting.
func TestCertificateThatFailsKeepsNoOtherFromBeingFollowed(t *testing.T) {
	w, n := handWorld(t), newNotary(t)
	panel := w.ownCertificates()
	until := w.tick().Add(80 * 24 * time.Hour).Truncate(time.Second)
	names := []string{"a", "b", "c", "d", "e"}
	vouch := func(name string, later time.Duration) mail.Certificate {
		return n.vouch(t, until.Add(later), "mail."+name+".example")
	}
	for _, name := range names {
		panel.put("user1", name, vouch(name, 0))
		addSecure(t, w, as("user1"), name+".example", "ssl_name", name)
	}
	refused := map[string]error{"a": fmt.Errorf("ask: %w", ErrRefused), "d": ErrRefused}
	w.refusing(refused)
	want := map[string]mail.Certificate{}
	for _, name := range names {
		want[name] = vouch(name, time.Hour)
		panel.put("user1", name, want[name])
	}
	// One that cannot be made, of a domain from before there were certificates, and one that
	// cannot be put in place: a directory stands there.
	err := w.db.Update(t.Context(), func(ctx context.Context, tx *store.Tx) error {
		for _, name := range []string{"a.lacks.example", "b.lacks.example"} {
			d := mail.NewDomain(mail.StoredName(name), "user1")
			d.Secure, d.SSLName = true, mail.SelfSigned
			if err := tx.InsertDomain(ctx, &d); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	crt := filepath.Join(w.dir, files.Debian.Certs(), "b.example.crt")
	inTheWay := []string{crt, filepath.Join(w.dir, files.Debian.Certs(), "a.lacks.example.crt")}
	if err := os.Remove(crt); err != nil {
		t.Fatal(err)
	}
	for _, p := range inTheWay {
		if err := os.Mkdir(p, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	check := func(followed ...string) {
		t.Helper()
		for _, name := range names {
			if is := string(w.certificate(t, name+".example").Chain) == string(want[name].Chain); is != slices.Contains(followed, name) {
				t.Errorf("%s is followed: %v", name, is)
			}
		}
	}
	w.Forget("certificates")
	err = w.FollowCertificates(t.Context())
	if !errors.Is(err, ErrRefused) {
		t.Fatal(err)
	}
	for _, what := range []string{"certificate a of", "of b.example", "certificate d of", "for a.lacks.example"} {
		if !strings.Contains(err.Error(), what) {
			t.Errorf("%q does not say %s", err, what)
		}
	}
	check("c", "e")
	if w.certificate(t, "b.lacks.example") == nil || w.certificate(t, "a.lacks.example") != nil {
		t.Error("not all that could be made was made")
	}
	// They are tried again by themselves, and at once when the panel says so.
	asked := panel.asked
	if err := w.FollowCertificates(t.Context()); err != nil || panel.asked != asked {
		t.Errorf("tried again at once: %v", err)
	}
	refused["a"] = nil
	w.Forget("certificates")
	if err := w.FollowCertificates(t.Context()); err == nil {
		t.Error("nothing is said")
	}
	check("a", "c", "e")
	refused["d"] = nil
	for _, p := range inTheWay {
		if err := os.Remove(p); err != nil {
			t.Fatal(err)
		}
	}
	w.pass(ownFollowedAgain)
	if err := w.FollowCertificates(t.Context()); err != nil {
		t.Error(err)
	}
	check(names...)
	reconcile(t, w)
	checkSettled(t, w)
	checkFollows(t, w)
}

// A panel that cannot be asked is not asked for one after the other.
func TestPanelThatIsAwayIsAskedOnce(t *testing.T) {
	w, n := handWorld(t), newNotary(t)
	panel := w.ownCertificates()
	for _, name := range []string{"a", "b"} {
		panel.put("user1", name, n.vouch(t, w.tick().Add(80*24*time.Hour).Truncate(time.Second), "mail."+name+".example"))
		addSecure(t, w, as("user1"), name+".example", "ssl_name", name)
	}
	panel.fault = errors.New("the panel is away")
	asked := panel.asked
	w.Forget("certificates")
	if err := w.FollowCertificates(t.Context()); !errors.Is(err, panel.fault) || panel.asked != asked+1 {
		t.Errorf("asked %d times: %v", panel.asked-asked, err)
	}
}
