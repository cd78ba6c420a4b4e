package dns

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"

	"maildomain/module/mail"
)

// A Finding is the state of one thing that is to be true in DNS.
type Finding struct {
	Record  mail.Record // what was wanted
	Verdict mail.Verdict
	Answers []Answer // what was seen, of whom, when
}

// checksAtOnce is how many records are looked at side by side.
const checksAtOnce = 4

// Check holds every record of a domain against what its authoritative servers and
// the resolver say, in the order of p.Records, and then what others have to publish
// for it. It is Right only where every authoritative server answered, and none of
// them wrongly.
func (a *Asker) Check(ctx context.Context, p mail.Publication) ([]Finding, error) {
	records, err := p.Records()
	if err != nil {
		return nil, err
	}
	records = append(records, p.Elsewhere()...)
	r := a.round()
	findings := make([]Finding, len(records))
	var g errgroup.Group
	g.SetLimit(checksAtOnce)
	for i, want := range records {
		g.Go(func() error {
			findings[i] = r.check(ctx, want, p)
			return nil
		})
	}
	return findings, g.Wait()
}

// CheckRecord is Check for one of p's records.
func (a *Asker) CheckRecord(ctx context.Context, want mail.Record, p mail.Publication) Finding {
	return a.round().check(ctx, want, p)
}

func (r *round) check(ctx context.Context, want mail.Record, p mail.Publication) Finding {
	answers, err := r.everyone(ctx, want.Name, want.Type)
	verdicts := make([]mail.Verdict, len(answers))
	for i, answer := range answers {
		if answer.Err == nil {
			verdicts[i] = want.Compare(answer.Values, r.evidence(ctx, want, answer.Values, p))
		}
	}
	return Finding{want, sum(answers, verdicts, err), answers}
}

// evidence asks what a comparison needs besides.
func (r *round) evidence(ctx context.Context, want mail.Record, found []string, p mail.Publication) mail.Evidence {
	switch want.Why {
	case mail.ForMX:
		return mail.Evidence{Hosts: r.hosts(ctx, found, p)}
	case mail.ForSPF:
		return mail.Evidence{SPF: r.policies(ctx, found, p)}
	}
	return mail.Evidence{}
}

func (r *round) hosts(ctx context.Context, found []string, p mail.Publication) map[string]mail.State {
	states := map[string]mail.State{}
	for _, v := range found {
		_, host, err := mail.SplitMX(v)
		if err != nil || host == "." || len(states) == mostServers {
			continue
		}
		as, err := addresses(ctx, r.within(p.Domain), host)
		if err != nil {
			continue // nobody knows
		}
		states[host] = mail.Wrong
		if slices.ContainsFunc(as, func(a netip.Addr) bool { return slices.Contains(p.Servers, a) }) {
			states[host] = mail.Right
		}
	}
	return states
}

func (r *round) policies(ctx context.Context, found []string, p mail.Publication) map[netip.Addr]mail.SPFOutcome {
	found = slices.DeleteFunc(slices.Clone(found), func(s string) bool { return !mail.IsSPF(s) })
	if len(found) != 1 {
		return nil
	}
	policy, err := mail.ParseSPF(found[0])
	if err != nil {
		return nil
	}
	outcomes := map[netip.Addr]mail.SPFOutcome{}
	for _, ip := range p.Senders() {
		sender := mail.SPFSender{IP: ip, Domain: p.Domain.String(), HELO: p.MailHost.String()}
		outcomes[ip] = mail.CheckSPFPolicy(ctx, r.within(p.Domain), sender, policy)
	}
	return outcomes
}

// sum makes one verdict of those about each answer; err is why the authoritative
// servers are not known. The resolver may remember what was: it decides only where
// there are no authoritative servers at all.
func sum(answers []Answer, verdicts []mail.Verdict, err error) mail.Verdict {
	last := len(answers) - 1 // the resolver
	if err != nil {
		if answers[last].Err != nil {
			return mail.Say(mail.Unknown, mail.CheckUnasked, "error", answers[last].Err.Error())
		}
		if errors.Is(err, ErrNotDelegated) || verdicts[last].State == mail.Unknown {
			return verdicts[last]
		}
		return mail.Say(mail.Unknown, mail.CheckResolverOnly, "error", err.Error())
	}
	var right, wrong, open []int
	var silent []Answer
	for i, answer := range answers[:last] {
		switch {
		case answer.Err != nil && spokeElsewhere(answers[:last], answer.Server):
		case answer.Err != nil:
			silent = append(silent, answer)
		case verdicts[i].State == mail.Wrong:
			wrong = append(wrong, i)
		case verdicts[i].State == mail.Unknown:
			open = append(open, i)
		default:
			right = append(right, i)
		}
	}
	switch {
	case len(wrong) > 0 && len(right) > 0:
		var names []string
		for _, i := range wrong {
			names = append(names, answers[i].Who())
		}
		return mail.Say(mail.Wrong, mail.CheckStale, "servers", strings.Join(names, ", "))
	case len(wrong) > 0:
		return verdicts[wrong[0]]
	case len(open) > 0:
		return verdicts[open[0]]
	case len(silent) > 0:
		return whoIsSilent(silent)
	case answers[last].Err == nil && verdicts[last].State == mail.Wrong:
		return mail.Say(mail.Right, mail.CheckCached, "servers", answers[last].Who())
	}
	return verdicts[right[0]]
}

// spokeElsewhere says that a server answered at another of its addresses: hosts
// without IPv6 ask servers that have it.
func spokeElsewhere(answers []Answer, server string) bool {
	return slices.ContainsFunc(answers, func(a Answer) bool { return a.Server == server && a.Err == nil })
}

func whoIsSilent(silent []Answer) mail.Verdict {
	var names []string
	for _, a := range silent {
		who := a.Server
		if a.Addr.IsValid() {
			who = a.Who()
		}
		names = append(names, who)
	}
	return mail.Say(mail.Unknown, mail.CheckSilent, "servers", strings.Join(names, ", "), "error", silent[0].Err.Error())
}
