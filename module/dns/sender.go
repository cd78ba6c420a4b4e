package dns

import (
	"context"
	"net/netip"
	"slices"

	"maildomain/module/mail"
)

// A Sender is an address that mail leaves from, and what Exim calls itself there.
type Sender struct {
	Addr netip.Addr
	HELO mail.Name
}

// CheckSenders says of each sender whether the address is one of local, those of
// this host, and whether the name of the address, the address of the name and the
// HELO agree, as receivers want it (RFC 1912 section 2.1, RFC 5321 section 4.1.4).
func (a *Asker) CheckSenders(ctx context.Context, senders []Sender, local []netip.Addr) []Finding {
	r := a.round()
	findings := make([]Finding, len(senders))
	for i, s := range senders {
		s.Addr = s.Addr.Unmap()
		f := Finding{Record: mail.Record{
			Name: mail.ReverseName(s.Addr), Type: mail.TypePTR, TTL: mail.DefaultTTL, Values: []string{s.HELO.String()},
		}}
		f.Verdict, f.Answers = r.sender(ctx, s, local)
		findings[i] = f
	}
	return findings
}

func (r *round) sender(ctx context.Context, s Sender, local []netip.Addr) (mail.Verdict, []Answer) {
	ip, helo := s.Addr.String(), s.HELO.String()
	if !slices.Contains(local, s.Addr) {
		return mail.Say(mail.Wrong, mail.CheckAddressForeign, "ip", ip), nil
	}
	t := mail.TypeAAAA
	if s.Addr.Is4() {
		t = mail.TypeA
	}
	forward := r.ask(ctx, helo, t)
	reverse := r.ask(ctx, mail.ReverseName(s.Addr), mail.TypePTR)
	answers := []Answer{forward, reverse}
	for _, a := range answers {
		if a.Err != nil {
			return mail.Say(mail.Unknown, mail.CheckUnasked, "error", a.Err.Error()), answers
		}
	}
	switch {
	case !slices.Contains(forward.Values, ip):
		return mail.Say(mail.Wrong, mail.CheckHELOUnconfirmed, "ip", ip, "helo", helo), answers
	case len(reverse.Values) == 0:
		return mail.Say(mail.Wrong, mail.CheckPTRMissing, "ip", ip, "helo", helo), answers
	case slices.Contains(reverse.Values, helo): // and forward says the same
		return mail.Say(mail.Right, mail.CheckOK), answers
	}
	for _, host := range reverse.Values[:min(len(reverse.Values), mostServers)] {
		if back := r.ask(ctx, host, t); slices.Contains(back.Values, ip) {
			return mail.Say(mail.Wrong, mail.CheckHELODiffers, "ip", ip, "helo", helo, "host", host), answers
		}
	}
	return mail.Say(mail.Wrong, mail.CheckPTRUnconfirmed, "ip", ip, "host", reverse.Values[0]), answers
}
