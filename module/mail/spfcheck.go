package mail

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
)

// A Lookup asks DNS for the values of a name and type, in the form of
// Record.Values. No values and no error: there are none, or no such name. An
// error: nobody knows for now. A name may hold any bytes: dots part its labels.
type Lookup func(ctx context.Context, name string, t RecordType) ([]string, error)

// An SPFSender is who a receiver sees (RFC 7208 section 4.1).
type SPFSender struct {
	IP     netip.Addr
	Domain string // of the envelope sender, in A-labels
	Local  string // local part of the envelope sender; empty: postmaster
	HELO   string // what the client calls itself
}

func (s SPFSender) local() string {
	if s.Local == "" {
		return "postmaster"
	}
	return s.Local
}

// An SPFResult is what a receiver makes of it (RFC 7208 section 2.6).
type SPFResult string

// The results.
const (
	SPFNone      SPFResult = "none"      // there is no policy
	SPFNeutral   SPFResult = "neutral"   // the policy does not say
	SPFPass      SPFResult = "pass"      // may send
	SPFFail      SPFResult = "fail"      // may not send
	SPFSoftFail  SPFResult = "softfail"  // likely may not send
	SPFTempError SPFResult = "temperror" // DNS did not answer
	SPFPermError SPFResult = "permerror" // the policy, or one that it includes, is wrong
)

// An SPFOutcome is a result, and how it came about.
type SPFOutcome struct {
	Result  SPFResult
	Term    string // of the first policy, that decided; empty: none did
	Lookups int    // terms that asked DNS
	Err     error  // what is wrong; with the two error results only
}

// Limits of RFC 7208 section 4.6.4.
const (
	mostSPFLookups = 10
	mostSPFVoids   = 2  // look-ups without an answer
	mostSPFNames   = 10 // of one mx or ptr
)

// CheckSPF is check_host of RFC 7208 section 4: finds the policy of the sender's
// domain and evaluates it.
func CheckSPF(ctx context.Context, ask Lookup, s SPFSender) SPFOutcome {
	e := &spfRun{ask: ask, sender: s}
	result, err := e.host(ctx, s.Domain)
	return SPFOutcome{result, e.decided, e.lookups, err}
}

// CheckSPFPolicy is CheckSPF with p in place of what the sender's domain
// publishes: how a policy would do that does not stand in DNS yet.
func CheckSPFPolicy(ctx context.Context, ask Lookup, s SPFSender, p SPF) SPFOutcome {
	e := &spfRun{ask: ask, sender: s}
	result, err := e.policy(ctx, s.Domain, p)
	return SPFOutcome{result, e.decided, e.lookups, err}
}

// An spfRun is one evaluation, with its includes and redirects.
type spfRun struct {
	ask     Lookup
	sender  SPFSender
	lookups int
	voids   int
	depth   int
	decided string
}

// An spfProblem ends the evaluation with temperror or permerror.
type spfProblem struct {
	result SPFResult
	err    error
}

func (p *spfProblem) Error() string { return p.err.Error() }
func (p *spfProblem) Unwrap() error { return p.err }

func permError(format string, args ...any) error {
	return &spfProblem{SPFPermError, fmt.Errorf(format, args...)}
}

// ended is the result that err stands for.
func ended(err error) (SPFResult, error) {
	var p *spfProblem
	if errors.As(err, &p) {
		return p.result, p.err
	}
	return SPFPermError, err
}

func (e *spfRun) host(ctx context.Context, domain string) (SPFResult, error) {
	if !askable(domain) || !strings.Contains(domain, ".") {
		return SPFNone, nil
	}
	texts, err := e.ask(ctx, domain, TypeTXT)
	if err != nil {
		return SPFTempError, fmt.Errorf("ask for the policy of %s: %w", domain, err)
	}
	var found []string
	for _, t := range texts {
		if IsSPF(t) {
			found = append(found, t)
		}
	}
	switch len(found) {
	case 0:
		return SPFNone, nil
	case 1:
	default:
		return SPFPermError, fmt.Errorf("%s has %d SPF records", domain, len(found))
	}
	p, err := ParseSPF(found[0])
	if err != nil {
		return SPFPermError, fmt.Errorf("%s: %w", domain, err)
	}
	return e.policy(ctx, domain, p)
}

func (e *spfRun) policy(ctx context.Context, domain string, p SPF) (SPFResult, error) {
	hasAll := false
	for _, m := range p.Mechanisms {
		hasAll = hasAll || m.Name == "all"
		matched, err := e.match(ctx, domain, m)
		if err != nil {
			return ended(err)
		}
		if matched {
			e.decide(m.String())
			return map[byte]SPFResult{'+': SPFPass, '-': SPFFail, '~': SPFSoftFail, '?': SPFNeutral}[m.Qualifier], nil
		}
	}
	if p.Redirect == "" || hasAll {
		return SPFNeutral, nil
	}
	return e.redirect(ctx, domain, p.Redirect)
}

// decide notes the term of the first policy only.
func (e *spfRun) decide(term string) {
	if e.depth == 0 {
		e.decided = term
	}
}

func (e *spfRun) redirect(ctx context.Context, domain, spec string) (SPFResult, error) {
	if err := e.count(); err != nil {
		return ended(err)
	}
	target, err := e.target(ctx, domain, spec)
	if err != nil {
		return ended(err)
	}
	e.depth++
	result, err := e.host(ctx, target)
	e.depth--
	e.decide("redirect=" + spec)
	if result == SPFNone {
		return SPFPermError, fmt.Errorf("redirect=%s: there is no policy", target)
	}
	return result, err
}

// count is one more term that asks DNS.
func (e *spfRun) count() error {
	if e.lookups == mostSPFLookups {
		return permError("more than %d look-ups", mostSPFLookups)
	}
	e.lookups++
	return nil
}

// values asks, and counts what has no answer.
func (e *spfRun) values(ctx context.Context, name string, t RecordType) ([]string, error) {
	if !askable(name) { // as if there were no such name (RFC 7208 section 4.8)
		return nil, e.void()
	}
	vs, err := e.ask(ctx, name, t)
	if err != nil {
		return nil, &spfProblem{SPFTempError, fmt.Errorf("ask for %s of %s: %w", t, name, err)}
	}
	if len(vs) == 0 {
		return nil, e.void()
	}
	return vs, nil
}

// askable says that labels and whole have the lengths of RFC 1035; macros may put
// any bytes into them.
func askable(name string) bool {
	for l := range strings.SplitSeq(name, ".") {
		if len(l) < 1 || len(l) > 63 {
			return false
		}
	}
	return len(name) <= 253
}

func (e *spfRun) void() error {
	if e.voids == mostSPFVoids {
		return permError("more than %d look-ups without an answer", mostSPFVoids)
	}
	e.voids++
	return nil
}

// target is the name that a domain-spec stands for; the domain itself for none.
func (e *spfRun) target(ctx context.Context, domain, spec string) (string, error) {
	if spec == "" {
		return domain, nil
	}
	ptr := "unknown"
	if usesP(spec) {
		if names := e.validated(ctx, domain, e.pointers(ctx)); len(names) > 0 {
			ptr = names[0]
		}
	}
	return e.sender.expand(spec, domain, ptr), nil
}
