package mail

import (
	"slices"
	"strings"

	"golang.org/x/net/publicsuffix"
)

// reportHosts are the domains that reports about d's mail go to, without those of
// the same organisation: the others have to agree to it (RFC 9990 section 4, before
// that RFC 7489 section 7.1).
func (p DMARC) reportHosts(d Name) []Name {
	var hosts []Name
	for _, list := range []string{p.Tag("rua"), p.Tag("ruf")} {
		for uri := range strings.SplitSeq(list, ",") {
			address, isMail := strings.CutPrefix(uri, "mailto:")
			address, _, _ = strings.Cut(address, "!") // the greatest size of a report
			_, host, _ := strings.Cut(address, "@")
			n, err := ParseName(host)
			if !isMail || err != nil || organisation(n) == organisation(d) || slices.Contains(hosts, n) {
				continue
			}
			hosts = append(hosts, n)
		}
	}
	return hosts
}

func organisation(n Name) string {
	s, err := publicsuffix.EffectiveTLDPlusOne(n.ascii)
	if err != nil {
		return n.ascii
	}
	return s
}

// Elsewhere are records that others have to publish for the domain: consent to be
// sent reports about it. They are no part of Records, and handed over to nobody.
func (p Publication) Elsewhere() []Record {
	if p.DMARC == nil {
		return nil
	}
	var rs []Record
	for _, host := range p.DMARC.reportHosts(p.Domain) {
		r := Record{Name: p.Domain.ascii + "._report._dmarc." + host.ascii, Type: TypeTXT, TTL: DefaultTTL, Values: []string{"v=DMARC1"}, Why: ForReports}
		if dnsName(r.Name) {
			rs = append(rs, r)
		}
	}
	return rs
}

// withReports is the policy of e as it stands, with reports to those too that p has them
// sent to.
func (p DMARC) withReports(e DMARC) DMARC {
	united := DMARC{slices.Clone(e.tags)}
	for _, name := range []string{"rua", "ruf"} {
		var all []string
		for uri := range strings.SplitSeq(e.Tag(name)+","+p.Tag(name), ",") {
			if uri != "" && !slices.Contains(all, uri) {
				all = append(all, uri)
			}
		}
		united.tags = slices.DeleteFunc(united.tags, func(t tag) bool { return t.name == name })
		if len(all) > 0 {
			united.tags = append(united.tags, tag{name, strings.Join(all, ",")})
		}
	}
	return united
}

func (r Record) compareReports(found []string) Verdict {
	if slices.ContainsFunc(found, IsDMARC) {
		return right()
	}
	return Say(Wrong, CheckDMARCReports, "name", r.Name, "value", r.value())
}
