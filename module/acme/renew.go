package acme

import (
	"context"
	"crypto/x509"
	"encoding/asn1"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/go-acme/lego/v4/acme"
	"github.com/go-acme/lego/v4/acme/api"

	"maildomain/module/mail"
)

// A Renewal is when a certificate is to be renewed.
type Renewal struct {
	At      time.Time // then, or at the next look after it
	Ask     time.Time // when to ask the authority again
	Why     string    // a page that says why, in the authority's words; empty: none
	ByOwner bool      // the authority does not say: a third of the lifetime is left at At
}

// askAgain is how often an authority that names no time is asked (RFC 9773 section 4.3.2).
const askAgain = 6 * time.Hour

// Renewal asks the authority when a certificate is to be renewed (RFC 9773). Where
// it does not say, a third of the lifetime is left then. A certificate that was
// revoked, or is about to be, is to be renewed at once by that. The renewal is
// there with an error too.
func (d Directory) Renewal(ctx context.Context, chain []byte) (Renewal, error) {
	const what = "ask when to renew"
	c, err := mail.ParseChain(chain)
	if err != nil {
		return Renewal{}, fmt.Errorf("%s: %w", what, err)
	}
	own := Renewal{At: RenewAt(c.NotBefore, c.NotAfter), Ask: d.now().Add(askAgain), ByOwner: true}
	s, err := d.open(ctx, "", nil)
	defer s.wire.close()
	if err != nil {
		return own, s.explain(what, mail.Name{}, err)
	}
	answer, err := s.core.Certificates.GetRenewalInfo(certID(c.Leaf()))
	if errors.Is(err, api.ErrNoARI) {
		return own, nil
	}
	if err == nil && answer.StatusCode != http.StatusOK {
		err = fmt.Errorf("it answers %s", answer.Status)
	}
	if err != nil {
		return own, s.explain(what, mail.Name{}, err)
	}
	var told acme.RenewalInfoResponse
	err = json.NewDecoder(answer.Body).Decode(&told)
	w := told.SuggestedWindow
	if err == nil && (w.Start.IsZero() || !w.End.After(w.Start)) {
		err = errors.New("it names no time")
	}
	if err != nil {
		return own, &Problem{Kind: Odd, Text: "acme_odd", Cause: &failure{what, err}}
	}
	r := Renewal{At: within(c, w.Start, w.End), Ask: own.Ask, Why: plain(told.ExplanationURL)}
	if _, at := s.wire.last(); !at.IsZero() {
		r.Ask = at
	}
	return r, nil
}

// RenewAt is when a third of a lifetime is left.
func RenewAt(notBefore, notAfter time.Time) time.Time {
	return notAfter.Add(-notAfter.Sub(notBefore) / 3).UTC()
}

// within is a time of the window that is the certificate's own: the same each time
// it is asked for, and even over all certificates (RFC 9773 section 4.2).
func within(c mail.Chain, start, end time.Time) time.Time {
	share := float64(binary.BigEndian.Uint32(c.Fingerprint[:])) / (1 << 32)
	return start.Add(time.Duration(share * float64(end.Sub(start)))).UTC()
}

// certID is what a certificate is called in RFC 9773 section 4.1.
func certID(c *x509.Certificate) string {
	serial, err := asn1.Marshal(c.SerialNumber)
	if err != nil || len(serial) < 3 {
		return ""
	}
	return base64.RawURLEncoding.EncodeToString(c.AuthorityKeyId) + "." + base64.RawURLEncoding.EncodeToString(serial[2:])
}

// replaced is the certificate that an order replaces. What cannot be read was not
// this authority's.
func replaced(chain []byte) string {
	c, err := mail.ParseChain(chain)
	if err != nil || c.SelfSigned || len(c.Leaf().AuthorityKeyId) == 0 {
		return ""
	}
	return certID(c.Leaf())
}

// The pauses after failures: Let's Encrypt allows five failures for a name in an hour.
const (
	firstRetry   = time.Hour
	longestRetry = 24 * time.Hour
)

// NextTry is when to try again after so many failures in a row, one at least: after
// one, two, four hours and so on up to a day, and not before the authority asked
// to be asked again, if it did.
func NextTry(failures int, again, now time.Time) time.Time {
	pause := longestRetry
	if failures < 6 {
		pause = min(longestRetry, firstRetry<<max(0, failures-1))
	}
	if at := now.Add(pause); at.After(again) {
		return at
	}
	return again
}
