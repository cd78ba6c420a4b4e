package module

import (
	"encoding/hex"
	"errors"
	"strings"
	"time"

	"maildomain/module/files"
	"maildomain/module/mail"
	"maildomain/module/store"
)

// judge is what ports showed for one name, held against the fingerprint that they are
// to show; empty: there is no certificate.
func judge(n mail.Name, want string, shown []files.Shown, now time.Time) store.Finding {
	f := store.Finding{Name: n.String(), Why: mail.ForTLS, At: now}
	of := map[error]*sightings{}
	at := func(kind error) *sightings {
		if of[kind] == nil {
			of[kind] = &sightings{}
		}
		return of[kind]
	}
	for _, sh := range shown {
		seen := store.Seen{Who: string(sh.Service) + " " + sh.Addr}
		kind := errUnasked
		switch {
		case sh.Err == nil:
			fp := hex.EncodeToString(sh.Fingerprint[:])
			seen.Values = []string{strings.Join(sh.Names, " "), sh.Expire.Format(time.DateOnly), sh.Issuer, sh.TLS, "SHA-256 " + fp[:16]}
			if kind = errOther; fp == want {
				kind = nil
			}
		case errors.Is(sh.Err, files.ErrHandshake):
			kind = files.ErrHandshake
		case errors.Is(sh.Err, files.ErrNoTLS):
			kind = files.ErrNoTLS
		case errors.Is(sh.Err, files.ErrNobodyListens):
			kind = files.ErrNobodyListens
		}
		if sh.Err != nil {
			seen.Error = sh.Err.Error()
		}
		at(kind).add(seen.Who, sh)
		f.Seen = append(f.Seen, seen)
	}
	f.Verdict = verdictOf(n, want, at, now)
	return f
}

// Kinds of what a port showed, besides those of files.
var (
	errOther   = errors.New("another certificate is shown")
	errUnasked = errors.New("it could not be asked")
)

// sightings are ports that showed the same.
type sightings struct {
	ports []string
	first files.Shown
}

func (s *sightings) add(port string, sh files.Shown) {
	if len(s.ports) == 0 {
		s.first = sh
	}
	s.ports = append(s.ports, port)
}

func (s *sightings) any() bool   { return len(s.ports) > 0 }
func (s *sightings) all() string { return strings.Join(s.ports, ", ") }

func verdictOf(n mail.Name, want string, at func(error) *sightings, now time.Time) mail.Verdict {
	since := now.UTC().Format(time.RFC3339)
	served, other, broken, plain, unasked := at(nil), at(errOther), at(files.ErrHandshake), at(files.ErrNoTLS), at(errUnasked)
	switch {
	case want == "":
		return mail.Say(mail.Wrong, mail.CheckTLSMissing, "name", n.Unicode())
	case broken.any():
		return mail.Say(mail.Wrong, mail.CheckTLSHandshake, "ports", broken.all(), "error", broken.first.Err.Error())
	case other.any():
		return mail.Say(mail.Wrong, mail.CheckTLSOther, "ports", other.all(), "found", strings.Join(other.first.Names, " "))
	case plain.any():
		return mail.Say(mail.Wrong, mail.CheckTLSNone, "ports", plain.all())
	case unasked.any():
		return mail.Say(mail.Unknown, mail.CheckTLSSilent, "ports", unasked.all(), "error", unasked.first.Err.Error(), "since", since, "fingerprint", want)
	case !served.any():
		return mail.Say(mail.Unknown, mail.CheckTLSNobody, "ports", at(files.ErrNobodyListens).all(), "since", since, "fingerprint", want)
	}
	date := served.first.Expire.Format(time.DateOnly)
	switch {
	case !now.Before(served.first.Expire):
		return mail.Say(mail.Wrong, mail.CheckTLSExpired, "date", date)
	case served.first.Distrust != nil:
		return mail.Say(mail.Right, mail.CheckTLSUntrusted, "date", date, "error", served.first.Distrust.Error())
	}
	return mail.Say(mail.Right, mail.CheckTLSServed, "date", date)
}
