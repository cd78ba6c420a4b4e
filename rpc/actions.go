package rpc

import (
	"context"
	"strconv"
	"strings"
	"time"

	"maildomain/module"
	"maildomain/module/mail"
	"maildomain/rpc/wire"
)

// toList is where a page goes after an action on mail domains.
var toList = wire.Redirect{Type: wire.KindList, Func: "emaildomain"}

// passDomains is the form that changes the owner of one domain or several.
func passDomains(ctx context.Context, m *module.Module, by module.Actor, p params) (any, error) {
	elids, err := p.elids()
	if err != nil {
		return nil, err
	}
	if p["sok"] == "" {
		now, err := m.OwnerOf(ctx, by, elids[0])
		if err != nil {
			return nil, err
		}
		owners, err := m.Owners(ctx, by)
		if err != nil {
			return nil, err
		}
		f := wire.Form{
			Kind: wire.KindForm, Values: map[string]string{"elid": p["elid"], "owner": now},
			SLists: map[string][]wire.Option{"owner": {}}, Hidden: []string{},
		}
		if to := p["owner"]; to != "" {
			f.Values["owner"] = to
		}
		for _, o := range owners {
			f.SLists["owner"] = append(f.SLists["owner"], wire.Option{Key: o, Label: o})
		}
		return f, nil
	}
	done, err := m.PassDomains(ctx, by, elids, p["owner"])
	if err != nil {
		return nil, err
	}
	result, err := outcomes(done, p["elid"], by)
	if ok, is := result.(wire.OK); is {
		ok.Redirect = &toList
		result = ok
	}
	return result, err
}

// loginAsOwner sends the session to the core's su.
func loginAsOwner(ctx context.Context, m *module.Module, by module.Actor, p params) (any, error) {
	owner, err := m.OwnerOf(ctx, by, p["elid"])
	if err != nil {
		return nil, err
	}
	return wire.OK{Kind: wire.KindOK, ID: p["elid"], Redirect: &wire.Redirect{Type: "top", Func: "su&elid=" + owner}}, nil
}

// filterByOwner narrows the list to the owner of a row.
func filterByOwner(ctx context.Context, m *module.Module, by module.Actor, p params) (any, error) {
	owner, err := m.OwnerOf(ctx, by, p["elid"])
	if err != nil {
		return nil, err
	}
	return filtered(map[string]string{"f_owner": owner}), nil
}

func filtered(by map[string]string) wire.OK {
	return wire.OK{Kind: wire.KindOK, Redirect: &toList, Filter: &wire.SetFilter{Func: "emaildomain", Params: by}}
}

// filterParams are the parameters that narrow the list.
func filterParams() []string {
	names := []string{"f_name", "f_owner", "f_ip"}
	for _, f := range flags {
		names = append(names, "f_"+f)
	}
	return names
}

// filterDomains is the form of the list's filter. The core keeps what it saves,
// and sends it along when the form is opened again.
func filterDomains(_ context.Context, _ *module.Module, by module.Actor, p params) (any, error) {
	names := filterParams()
	set := map[string]string{}
	for _, n := range names {
		if v := strings.TrimSpace(p[n]); v != "" {
			set[n] = v
		}
	}
	if p["sok"] != "" {
		if _, err := parseQuery(set); err != nil {
			return nil, err
		}
		return filtered(set), nil
	}
	f := wire.Form{Kind: wire.KindForm, Values: map[string]string{}, SLists: map[string][]wire.Option{}, Hidden: []string{}}
	for _, n := range names {
		f.Values[n] = set[n]
	}
	for _, flag := range flags {
		f.SLists["f_"+flag] = options(by.Lang, "emaildomain.filter", "f_flag", "", "on", "off")
	}
	if by.Level == mail.LevelUser {
		delete(f.Values, "f_owner")
		f.Hidden = append(f.Hidden, "f_owner")
	}
	return f, nil
}

func parseHistory(p params) (module.HistoryQuery, error) {
	q, err := parseQuery(params{"p_num": p["p_num"], "p_cnt": p["p_cnt"]})
	return module.HistoryQuery{Elid: p["elid"], Limit: q.Limit, Offset: q.Offset}, err
}

// historyList is a page of the changes of a domain, newest first.
func historyList(past []module.Past, total int64, q module.HistoryQuery, _ module.Actor) wire.List {
	l := wire.List{
		Kind: wire.KindList, Elems: []map[string]string{}, PElems: total, PNum: q.Offset/q.Limit + 1, PCnt: q.Limit,
		PSort: "id", POrder: "desc", Filters: []wire.Filter{},
	}
	for _, c := range past {
		var before, after []string
		for _, s := range c.Settings {
			before = append(before, s.Name+"="+s.Before)
			after = append(after, s.Name+"="+s.After)
		}
		if c.Made {
			before = nil
		}
		if c.Gone {
			after = nil
		}
		l.Elems = append(l.Elems, map[string]string{
			"id": strconv.FormatInt(c.ID, 10), "time": c.At.Format(time.RFC3339), "user": c.User, "su_by": c.SuBy,
			"remote_ip": c.RemoteIP, "func": c.Func, "request_id": c.RequestID,
			"before": strings.Join(before, " "), "after": strings.Join(after, " "),
		})
	}
	return l
}

// undoChange brings a domain back to before a change of its history.
func undoChange(ctx context.Context, m *module.Module, by module.Actor, p params) (any, error) {
	elid, change := p["elid"], p["change"]
	if change == "" { // from the page of the history: its parent is the domain
		elid, change = p["plid"], p["elid"]
	}
	n, err := m.Undo(ctx, by, elid, change)
	if err != nil {
		return nil, err
	}
	return wire.OK{Kind: wire.KindOK, ID: n.String(), Redirect: &toList}, nil
}

// preview is what a call would have changed, as a report: the settings of each
// domain and the files, each with what it is and what it would be.
func preview(p *module.Preview, would wire.OK) wire.Report {
	r := wire.Report{Kind: wire.KindReport, Elems: []map[string]string{}}
	files, records, mailboxes, bytes := 0, 0, int64(0), int64(0)
	changes := p.Changes()
	reload := ""
	for _, c := range changes {
		if c.Reload {
			reload = "dovecot"
		}
		mailboxes, bytes = mailboxes+c.Mailboxes, bytes+c.Bytes
		for _, s := range c.Settings {
			r.Elems = append(r.Elems, map[string]string{
				"elid": c.Object, "what": "setting", "name": s.Name, "before": s.Before, "after": s.After,
			})
		}
		for _, d := range c.Records {
			records++
			r.Elems = append(r.Elems, map[string]string{
				"elid": c.Object, "what": "dns", "name": d.Name + " " + string(d.Type), "before": strings.Join(d.Before, "\n"), "after": strings.Join(d.After, "\n"),
			})
		}
		for _, f := range c.Files {
			files++
			r.Elems = append(r.Elems, map[string]string{"elid": c.Object, "what": "file", "name": f.Path, "diff": f.Diff})
		}
	}
	for _, d := range would.Done {
		if d.Error != nil {
			r.Elems = append(r.Elems, map[string]string{"elid": d.Elid, "what": "error", "name": d.Error.Type, "diff": d.Error.Msg})
		}
	}
	r.Values = map[string]string{
		"dry_run": "on", "changes": strconv.Itoa(len(changes)), "files": strconv.Itoa(files),
		"mailboxes": strconv.FormatInt(mailboxes, 10), "bytes": strconv.FormatInt(bytes, 10),
		"dns": strconv.Itoa(records), "reload": reload,
	}
	return r
}
