package acme

import (
	"context"
	"errors"
	"net/http"
	"regexp"
	"strings"
	"time"

	"github.com/go-acme/lego/v4/acme"

	"maildomain/module/mail"
)

// A Kind says what the caller can do about a problem.
type Kind string

// The kinds of problem.
const (
	RateLimited Kind = "rate_limited" // too many orders or failures; again at Again
	Unreachable Kind = "unreachable"  // the authority does not answer, or is out of order; again later
	BadAccount  Kind = "bad_account"  // the account or its binding is not taken: the administrator acts
	Refused     Kind = "refused"      // the authority does not issue for this name, or not so
	Unproven    Kind = "unproven"     // the authority looked and did not find the proof: DNS or the web server is to be mended
	Forbidden   Kind = "forbidden"    // CAA records name another authority (RFC 8659)
	NotHere     Kind = "not_here"     // the proof could not be put where the authority looks; it was not asked
	Odd         Kind = "odd"          // the authority answered what it should not
	Slow        Kind = "slow"         // it took too long, whoever it was that did; the order can be gone on with
)

// A Problem is why there is no certificate. Nothing in it is secret.
type Problem struct {
	Kind   Kind
	Name   mail.Name         // that it is about; zero: the whole order
	Again  time.Time         // when the authority asks to be asked again; zero: it does not say
	Text   string            // names the sentence in the message catalogue
	Args   map[string]string // what fills the sentence's placeholders
	Detail string            // what the authority said, in its words: for people, not to be trusted
	Cause  error             // for the log
}

// Error is for logs and tests.
func (p *Problem) Error() string {
	s := string(p.Kind)
	if !p.Name.IsZero() {
		s += "(" + p.Name.String() + ")"
	}
	if p.Cause != nil {
		s += ": " + p.Cause.Error()
	}
	return s
}

// Unwrap is the cause.
func (p *Problem) Unwrap() error { return p.Cause }

// CountsAsFailure says that the authority was asked and counts it: blind
// repetition uses up its limits.
func (p *Problem) CountsAsFailure() bool {
	return p.Kind == Unproven || p.Kind == Refused || p.Kind == Forbidden || p.Kind == Odd
}

// OfAll says that every other order of the account would meet the same: nobody
// answers, or it is about the account itself.
func (p *Problem) OfAll() bool {
	switch p.Kind {
	case Unreachable, BadAccount:
		return true
	case RateLimited: // of an order, of names, or of all: there is one type for the three
		said, _, _ := strings.Cut(strings.ToLower(p.Detail), "http") // addresses of explanations name everything
		said = quoted.ReplaceAllString(said, "")                     // and names of domains may be any words
		return strings.TrimSpace(said) == "" || strings.Contains(said, "account") || strings.Contains(said, "ip address")
	}
	return false
}

// quoted is how authorities write the names that a sentence is about.
var quoted = regexp.MustCompile(`"[^"]*"`)

// sentences are the problem types of RFC 8555 section 6.7 and RFC 9773: the kind
// and the sentence of each.
var sentences = map[string]struct {
	kind Kind
	text string
}{
	"rateLimited":             {RateLimited, "acme_rate_limited"},
	"accountDoesNotExist":     {BadAccount, "acme_account"},
	"externalAccountRequired": {BadAccount, "acme_eab_required"},
	"invalidContact":          {BadAccount, "acme_contact"},
	"unsupportedContact":      {BadAccount, "acme_contact"},
	"userActionRequired":      {BadAccount, "acme_action"},
	"rejectedIdentifier":      {Refused, "acme_rejected"},
	"unsupportedIdentifier":   {Refused, "acme_rejected"},
	"badCSR":                  {Refused, "acme_key"},
	"badPublicKey":            {Refused, "acme_key"},
	"unauthorized":            {Unproven, "acme_unauthorized"},
	"incorrectResponse":       {Unproven, "acme_unauthorized"},
	"dns":                     {Unproven, "acme_dns"},
	"connection":              {Unproven, "acme_connection"},
	"tls":                     {Unproven, "acme_tls"},
	"caa":                     {Forbidden, "acme_caa"},
	"serverInternal":          {Unreachable, "acme_unreachable"},
}

const problemNamespace = "urn:ietf:params:acme:error:"

// explain makes of what went wrong what the caller can branch on.
func (s *session) explain(what string, n mail.Name, err error) error {
	err = &failure{what, err}
	if s.ctx.Err() != nil {
		return errors.Join(err, context.Cause(s.ctx))
	}
	if p, is := errors.AsType[*Problem](err); is {
		return p
	}
	status, again := s.wire.last()
	p := &Problem{Kind: Unreachable, Name: n, Text: "acme_unreachable", Again: again, Cause: err}
	if said, is := errors.AsType[*acme.ProblemDetails](err); is {
		return told(p, said)
	}
	if status == http.StatusTooManyRequests { // said by something before the authority
		p.Kind, p.Text = RateLimited, "acme_rate_limited"
	}
	return p
}

// told fills p in with a problem document (RFC 7807).
func told(p *Problem, said *acme.ProblemDetails) *Problem {
	kind := strings.TrimPrefix(said.Type, problemNamespace)
	t, known := sentences[kind]
	switch {
	case said.HTTPStatus == http.StatusTooManyRequests:
		t = sentences["rateLimited"]
	case said.HTTPStatus >= 500:
		t = sentences["serverInternal"]
	case !known:
		t.kind, t.text = Odd, "acme_odd"
	case kind == "unauthorized" && p.Name.IsZero(): // about who asks, and not about a name
		t = sentences["accountDoesNotExist"]
	}
	p.Kind, p.Text, p.Detail = t.kind, t.text, plain(said.Detail)
	for _, sub := range said.SubProblems { // of an order for several names: the first that is named
		n, err := mail.ParseName(sub.Identifier.Value)
		if err != nil {
			continue
		}
		p.Name, p.Detail = n, plain(sub.Detail)
		if t, known := sentences[strings.TrimPrefix(sub.Type, problemNamespace)]; known && p.Kind != RateLimited {
			p.Kind, p.Text = t.kind, t.text
		}
		break
	}
	p.Args = map[string]string{"name": p.Name.Unicode(), "detail": p.Detail}
	return p
}

// A failure is what was done when something went wrong.
type failure struct {
	what string
	err  error
}

func (f *failure) Error() string { return f.what + ": " + plain(f.err.Error()) }
func (f *failure) Unwrap() error { return f.err }

// maxDetail is in bytes; the sentences of authorities have 100 to 300.
const maxDetail = 500

// plain is what somebody else wrote, bounded and without control characters.
func plain(s string) string {
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, "?"))
	if len(s) > maxDetail {
		s = strings.ToValidUTF8(s[:maxDetail], "") + "…"
	}
	return s
}
