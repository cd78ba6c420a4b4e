package rpc

import (
	"context"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sourcegraph/jsonrpc2"

	"maildomain/module"
	"maildomain/module/mail"
	"maildomain/module/store"
	"maildomain/rpc/wire"
)

// recordList is the records that a domain needs, a row for each value.
func recordList(ctx context.Context, m *module.Module, by module.Actor, p params) (any, error) {
	r, err := m.DomainRecords(ctx, by, p["elid"])
	if err != nil {
		return nil, err
	}
	l := page{sort: "name", limit: rowsMost}.list(0)
	for _, rec := range r.Records {
		state, said := recordState(rec, by.Lang)
		for _, f := range rec.Fields() {
			l.Elems = append(l.Elems, map[string]string{
				"id": f.Name + " " + string(f.Type), "name": f.Name, "type": string(f.Type), "ttl": strconv.Itoa(int(f.TTL)), "value": f.Value,
				"why": text(by.Lang, "emaildomain.dns", "why_"+string(rec.Why)), "state": state, "said": said, "detail": rec.Reason,
			})
		}
	}
	for _, f := range r.Former {
		l.Elems = append(l.Elems, formerElem(f, by.Lang))
	}
	l.PElems = int64(len(l.Elems))
	return l, nil
}

// formerElem is the row of a value that stands with a former name server still.
func formerElem(f store.FormerRow, lang string) map[string]string {
	server := strings.TrimSuffix(f.Server.Server, ":53")
	if f.Server.Mode == mail.DNSByCore {
		server = text(lang, "mailparam", "dns_core")
	}
	state, key, args := "wrong", "", map[string]string{"server": server}
	switch f.State {
	case store.FormerPending:
		state, key = "pending", mail.FormerWaits
	case store.FormerLeft:
		state, key = "unknown", mail.FormerLeft
	case store.FormerRefused:
		key = mail.FormerRefused
	default:
		key = mail.FormerGivenUp
	}
	said := filled(text(lang, "emaildomain.dns", key), args)
	if f.Text != "" {
		said += " " + filled(text(lang, "emaildomain.dns", f.Text), f.Args)
	}
	return map[string]string{
		"id": f.Name + " " + string(f.Type) + " " + f.Server.Server, "name": f.Name, "type": string(f.Type), "ttl": "", "value": f.Value,
		"why": text(lang, "emaildomain.dns", "why_former"), "state": state, "said": said, "detail": f.Reason,
	}
}

// recordState is how a record stands: published, pending, wrong or unknown, and a
// sentence about it.
func recordState(r module.RecordState, lang string) (state, said string) {
	if c := r.Checked; c != nil && c.Verdict.State != mail.Unknown {
		if c.Verdict.State == mail.Right {
			return "published", verdict(lang, c.Verdict)
		}
		if r.Handed != mail.Pending {
			return "wrong", verdict(lang, c.Verdict)
		}
	}
	if r.Text != "" {
		said = filled(text(lang, "emaildomain.dns", r.Text), r.Args)
	} else {
		said = text(lang, "emaildomain.dns", "handed_"+string(r.Handed))
	}
	switch r.Handed {
	case mail.Published:
		return "published", said
	case mail.Pending:
		return "pending", said
	case mail.Refused, mail.Conflict, mail.NoZone:
		return "wrong", said
	}
	if r.Checked != nil {
		return "unknown", verdict(lang, r.Checked.Verdict)
	}
	return "unknown", text(lang, "emaildomain.dns", "handed_none")
}

// text is a text of the catalogue, or its name where there is none.
func text(lang, messages, name string) string {
	if t, ok := message(lang, messages, name); ok {
		return t
	}
	return name
}

// verdict is what a check has to say, in a language.
func verdict(lang string, v mail.Verdict) string {
	args := v.Args
	if why := args[mail.ErrorText]; why != "" {
		args = maps.Clone(args)
		args["error"] = text(lang, "emaildomain.check", why)
	}
	return filled(text(lang, "emaildomain.check", v.Text), args)
}

// filled is a sentence with its placeholders filled.
func filled(sentence string, args map[string]string) string {
	var fill []string
	for k, a := range args {
		fill = append(fill, "__"+k+"__", a)
	}
	return strings.NewReplacer(fill...).Replace(sentence)
}

// checkDomain is the report of what is right and wrong with a domain.
func checkDomain(ctx context.Context, m *module.Module, by module.Actor, p params) (any, error) {
	r, err := m.CheckDomain(ctx, by, p["elid"])
	if err != nil {
		return nil, err
	}
	report := wire.Report{Kind: wire.KindReport, Values: map[string]string{"name": r.Domain.Name.Unicode()}, Elems: []map[string]string{}}
	count := map[mail.State]int{}
	for _, f := range r.Findings {
		count[f.Verdict.State]++
		var seen []string
		for _, s := range f.Seen {
			said := strings.Join(s.Values, ", ")
			if s.Text != "" {
				said = text(by.Lang, "emaildomain.check", s.Text)
			} else if s.Error != "" {
				said = s.Error
			} else if said == "" {
				said = text(by.Lang, "emaildomain.check", "nothing")
			}
			seen = append(seen, s.Who+": "+said)
		}
		report.Elems = append(report.Elems, map[string]string{
			"state": text(by.Lang, "emaildomain.check", "state_"+string(f.Verdict.State)), "status": string(f.Verdict.State),
			"why":  text(by.Lang, "emaildomain.dns", "why_"+string(f.Why)),
			"name": f.Name, "type": string(f.Type), "said": verdict(by.Lang, f.Verdict),
			"seen": strings.Join(seen, "\n"), "at": f.At.Format(time.RFC3339), "proposal": f.Verdict.Proposal,
		})
	}
	for _, k := range r.Keys {
		report.Elems = append(report.Elems, map[string]string{
			"state": text(by.Lang, "emaildomain.check", "key_"+string(k.State)), "status": "right", "why": text(by.Lang, "emaildomain.dns", "why_dkim"),
			"name": k.Selector.String(), "type": k.Key.String(), "said": text(by.Lang, "emaildomain.check", "said_key_"+string(k.State)),
			"seen": "", "at": k.Since.Format(time.RFC3339), "proposal": "",
		})
	}
	for _, s := range []mail.State{mail.Right, mail.Wrong, mail.Unknown} {
		report.Values[string(s)] = strconv.Itoa(count[s])
	}
	return report, nil
}

// zoneText is the report of a domain's records as text for a zone file.
func zoneText(ctx context.Context, m *module.Module, by module.Actor, p params) (any, error) {
	r, err := m.DomainRecords(ctx, by, p["elid"])
	if err != nil {
		return nil, err
	}
	var records []mail.Record
	for _, rec := range r.Records {
		records = append(records, rec.Record)
	}
	zone, err := mail.ZoneText(records)
	if err != nil {
		return nil, err
	}
	return wire.Report{Kind: wire.KindReport, Values: map[string]string{"name": r.Domain.Name.Unicode(), "zone": zone}, Elems: []map[string]string{}}, nil
}

// importKey gives a domain a key that was made elsewhere.
func importKey(ctx context.Context, m *module.Module, by module.Actor, p params) (any, error) {
	if p["sok"] == "" {
		if _, err := m.OwnerOf(ctx, by, p["elid"]); err != nil {
			return nil, err
		}
		return wire.Form{Kind: wire.KindForm, Values: map[string]string{"elid": p["elid"], "private": "", "selector": ""}, SLists: map[string][]wire.Option{}, Hidden: []string{}}, nil
	}
	n, err := m.ImportKey(ctx, by, p["elid"], p["private"], p["selector"])
	if err != nil {
		return nil, err
	}
	return wire.OK{Kind: wire.KindOK, ID: n.String(), Redirect: &toList}, nil
}

// exportKey shows a private key to who asks for it by name.
func exportKey(ctx context.Context, m *module.Module, by module.Actor, p params) (any, error) {
	selector, pem, err := m.ExportKey(ctx, by, p["elid"])
	if err != nil {
		return nil, err
	}
	return wire.Report{Kind: wire.KindReport, Values: map[string]string{"selector": selector, "private": pem}, Elems: []map[string]string{}}, nil
}

// withRecords adds to the answer of a saving call the records of the domain, and
// whether each stands, where it has any that were handed over.
func withRecords(ctx context.Context, m *module.Module, by module.Actor, ok wire.OK) wire.OK {
	records := by.Records.Records
	if len(records) == 0 {
		r, err := m.DomainRecords(ctx, by, ok.ID)
		if err != nil || !r.Domain.DKIM && !r.Domain.DMARC && !r.Domain.Secure {
			return ok // what was saved is saved
		}
		records = r.Records
	}
	for _, rec := range records {
		state, _ := recordState(rec, by.Lang)
		for _, f := range rec.Fields() {
			ok.DNS = append(ok.DNS, wire.DNSRecord{Name: f.Name, Type: string(f.Type), Value: f.Value, State: state})
		}
	}
	return ok
}

// DNS hands records of a user's mail domain over to the core; of the server's own where
// owner is "". A core without DNS has none of their zones.
func (k *Core) DNS(ctx context.Context, domain mail.Name, owner string, changes []mail.RecordChange) ([]mail.RecordOutcome, error) {
	q := wire.DNS{Zone: domain.String(), Owner: owner, Module: "maildomain"}
	for _, c := range changes {
		w := wire.DNSChange{Op: wire.DNSPut, Name: c.Name, Type: string(c.Type), TTL: c.TTL, Values: c.Values}
		if c.Remove {
			w.Op, w.Values = wire.DNSRemove, nil
		}
		q.Changes = append(q.Changes, w)
	}
	at, err := k.conn(ctx)
	if err != nil {
		return nil, err
	}
	var os []wire.DNSOutcome
	var out []mail.RecordOutcome
	err = k.ask(ctx, at, wire.CoreDNS, q, &os)
	if answered(err, jsonrpc2.CodeMethodNotFound) {
		for _, c := range changes {
			out = append(out, mail.RecordOutcome{Name: c.Name, Type: c.Type, Handed: mail.NoZone, Reason: "the panel has no DNS"})
		}
		return out, nil
	}
	if err != nil {
		return nil, err
	}
	known := []mail.Handed{mail.Published, mail.NoZone, mail.Refused, mail.Conflict, mail.Pending}
	for _, o := range os {
		h := mail.Handed(o.State)
		if !slices.Contains(known, h) {
			h = mail.Refused
		}
		out = append(out, mail.RecordOutcome{Name: o.Name, Type: mail.RecordType(o.Type), Handed: h, Reason: o.Reason, Foreign: o.Others})
	}
	return out, nil
}
