package rpc

import (
	"context"
	"slices"
	"strconv"
	"time"

	"maildomain/module"
	"maildomain/module/mail"
	"maildomain/rpc/wire"
)

// Rows a page.
const (
	rowsDefault = 50
	rowsMost    = 1000
)

// longestFilter is the most that a part of a name is, in bytes of U-labels: the
// core keeps filters for the session.
const longestFilter = 1024

// columns that the list of mail domains can be sorted by.
var columns = []string{
	"name", "name_idn", "owner", "ip", "active", "defaction", "redirval",
	"greylist", "spamassassin", "avcheck", "dkim", "dmarc", "secure", "mailboxes", "used", "ssl_expire", "note",
}

// flags are those of them that are on or off.
var flags = []string{"active", "greylist", "spamassassin", "avcheck", "dkim", "dmarc", "secure"}

// A page is what every list is asked for.
type page struct {
	sort          string
	desc          bool
	limit, offset int
}

// parsePage reads paging and sort order of a list with these columns, sorted by the
// first of them unless the caller says otherwise.
func parsePage(p params, columns []string) (q page, err error) {
	q.sort = columns[0]
	number := func(name string, least, most, otherwise int) (int, error) {
		if p[name] == "" {
			return otherwise, nil
		}
		n, err := strconv.Atoi(p[name])
		if err != nil || n < least {
			return 0, &mail.Error{Kind: mail.Invalid, Field: name, Value: p[name], Text: "value_number"}
		}
		return min(n, most), nil
	}
	if q.limit, err = number("p_cnt", 1, rowsMost, rowsDefault); err != nil {
		return q, err
	}
	num, err := number("p_num", 1, 1<<30, 1)
	if err != nil {
		return q, err
	}
	q.offset = (num - 1) * q.limit
	if s := p["p_sort"]; s != "" {
		if !slices.Contains(columns, s) {
			return q, &mail.Error{Kind: mail.Invalid, Field: "p_sort", Value: s, Text: "value_p_sort"}
		}
		q.sort = s
	}
	switch o := p["p_order"]; o {
	case "", "asc":
	case "desc":
		q.desc = true
	default:
		return q, &mail.Error{Kind: mail.Invalid, Field: "p_order", Value: o, Text: "value_p_order"}
	}
	return q, nil
}

// list is an answer without its rows.
func (q page) list(total int64) wire.List {
	l := wire.List{
		Kind: wire.KindList, Elems: []map[string]string{}, PElems: total,
		PNum: q.offset/q.limit + 1, PCnt: q.limit, PSort: q.sort, POrder: "asc", Filters: []wire.Filter{},
	}
	if q.desc {
		l.POrder = "desc"
	}
	return l
}

// parseQuery reads paging, sort order and filters of the list of mail domains.
func parseQuery(p params) (mail.Query, error) {
	var q mail.Query
	for _, f := range []string{"f_name", "f_owner", "f_ip"} {
		if len(p[f]) > longestFilter {
			return q, &mail.Error{Kind: mail.Invalid, Field: f, Value: p[f]}
		}
	}
	at, err := parsePage(p, columns)
	if err != nil {
		return q, err
	}
	q = mail.Query{Sort: at.sort, Desc: at.desc, Limit: at.limit, Offset: at.offset, Name: p["f_name"], Owner: p["f_owner"]}
	if ip, sent := p["f_ip"]; sent && ip != "" {
		if ip == "auto" {
			ip = ""
		}
		q.IP = &ip
	}
	for _, name := range flags {
		switch v := p["f_"+name]; v {
		case "":
		case "on", "off":
			q.Flags = append(q.Flags, mail.FlagFilter{Name: name, On: v == "on"})
		default:
			return q, &mail.Error{Kind: mail.Invalid, Field: "f_" + name, Value: v, Text: "value_flag"}
		}
	}
	return q, nil
}

// listDomains is a page of the list of mail domains.
func listDomains(ctx context.Context, m *module.Module, by module.Actor, p params) (any, error) {
	q, err := parseQuery(p)
	if err != nil {
		return nil, err
	}
	ds, total, err := m.ListDomains(ctx, by, q)
	if err != nil {
		return nil, err
	}
	return domainList(ds, total, q, by, m.Now()), nil
}

func domainList(ds []mail.Domain, total int64, q mail.Query, by module.Actor, now time.Time) wire.List {
	l := page{q.Sort, q.Desc, q.Limit, q.Offset}.list(total)
	for _, d := range ds {
		v := d.Values()
		for _, only := range []string{"ipsrc", "dkim_selector", "dkim_keylen", "secure_alias", "ssl_name", "ssl_challenge", "email", "sendany", "mailrate"} {
			delete(v, only) // the form has these
		}
		v["mailboxes"], v["used"], v["note"] = strconv.FormatInt(d.Mailboxes, 10), strconv.FormatInt(d.Used, 10), d.Note
		v["ssl_expire"], v["ssl_state"] = "", ""
		if !d.SSLExpire.IsZero() {
			v["ssl_expire"], v["ssl_state"] = d.SSLExpire.Format(time.DateOnly), sslState(d.SSLExpire, now)
		}
		if by.Level == mail.LevelUser {
			delete(v, "owner")
		}
		l.Elems = append(l.Elems, v)
	}
	filter := func(name, value string) {
		if value != "" {
			l.Filters = append(l.Filters, wire.Filter{Name: name, Value: value})
		}
	}
	filter("f_name", q.Name)
	filter("f_owner", q.Owner)
	if q.IP != nil {
		ip := *q.IP
		if ip == "" {
			ip = "auto"
		}
		filter("f_ip", ip)
	}
	for _, f := range q.Flags {
		filter("f_"+f.Name, mail.Flag(f.On))
	}
	return l
}
