package mail

import (
	"fmt"
	"strings"
)

// ZoneText is rs as text for a zone file (RFC 1035 section 5): full names with
// the final dot, one line a value, a comment that says why before each record.
// BIND and NSD load it as it is, whatever the zone's $ORIGIN. A value that is
// none of its type is an error, and nothing is written.
func ZoneText(rs []Record) (string, error) {
	var b strings.Builder
	for _, r := range rs {
		if !dnsName(r.Name) {
			return "", fmt.Errorf("write a zone: %q is no name of a record", r.Name)
		}
		fmt.Fprintf(&b, "; %s\n", zoneWhy[r.Why])
		for _, v := range r.Values {
			data, err := zoneData(r.Type, v)
			if err != nil {
				return "", fmt.Errorf("write a zone: %s: %w", r.Name, err)
			}
			fmt.Fprintf(&b, "%s.\t%d\tIN\t%s\t%s\n", r.Name, r.TTL, r.Type, data)
		}
	}
	return b.String(), nil
}

// zoneWhy is English, as zone files are an administrator's matter.
var zoneWhy = map[Purpose]string{
	ForMX:      "MX: the server that takes mail for the domain",
	ForSPF:     "SPF: where mail of the domain leaves from",
	ForDKIM:    "DKIM: the key that letters of the domain are signed with",
	ForDMARC:   "DMARC: what receivers do with letters that are forged",
	ForHost:    "the address of a name of the mail server",
	"":         "for mail",
	ForReports: "DMARC: the domain takes reports about another one",
}

func zoneData(t RecordType, v string) (string, error) {
	n, err := NormalValue(t, v)
	if err != nil {
		return "", err
	}
	switch t {
	case TypeTXT:
		return SplitTXT(n).String(), nil
	case TypeMX, TypePTR:
		if !strings.HasSuffix(n, ".") {
			n += "."
		}
	}
	return n, nil
}
