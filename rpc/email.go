package rpc

import (
	"context"
	"slices"
	"strconv"
	"strings"
	"time"

	"maildomain/module"
	"maildomain/module/mail"
	"maildomain/rpc/wire"
)

// mailboxColumns are those that the list of mailboxes can be sorted by.
var mailboxColumns = []string{"name", "owner", "active", "maxsize", "used", "dontsave", "greylist", "spamassassin", "note"}

// A mailboxQuery asks for mailboxes, of one domain or of all.
type mailboxQuery struct {
	domain string
	mail.MailboxQuery
}

// parseMailboxes reads what the list of mailboxes is asked for. Its parent is the
// domain: plid, or the elid of the row that the list was opened from.
func parseMailboxes(p params) (mailboxQuery, error) {
	at, err := parsePage(p, mailboxColumns)
	if err == nil && len(p["f_name"]) > longestFilter {
		err = &mail.Error{Kind: mail.Invalid, Field: "f_name", Value: p["f_name"]}
	}
	of := p["plid"]
	if of == "" {
		of = p["elid"]
	}
	q := mailboxQuery{of, mail.MailboxQuery{Sort: at.sort, Desc: at.desc, Limit: at.limit, Offset: at.offset, Name: p["f_name"]}}
	if err != nil {
		return q, err
	}
	switch v := p["f_active"]; v {
	case "":
	case "on", "off":
		on := v == "on"
		q.Active = &on
	default:
		return q, &mail.Error{Kind: mail.Invalid, Field: "f_active", Value: v, Text: "value_flag"}
	}
	return q, nil
}

func listMailboxes(m *module.Module, ctx context.Context, by module.Actor, q mailboxQuery) ([]module.MailboxRow, int64, error) {
	return m.ListMailboxes(ctx, by, q.domain, q.MailboxQuery)
}

// mailboxList is a page of the list of mailboxes.
func mailboxList(rows []module.MailboxRow, total int64, q mailboxQuery, by module.Actor) wire.List {
	l := page{q.Sort, q.Desc, q.Limit, q.Offset}.list(total)
	for _, r := range rows {
		v := r.Values()
		delete(v, "passwd_at")
		v["name"], v["name_idn"] = r.Address().String(), r.Address().Unicode()
		v["used"], v["owner"] = strconv.FormatInt(r.Used, 10), r.Owner
		if by.Level == mail.LevelUser {
			delete(v, "owner")
		}
		l.Elems = append(l.Elems, v)
	}
	if q.Name != "" {
		l.Filters = append(l.Filters, wire.Filter{Name: "f_name", Value: q.Name})
	}
	if q.Active != nil {
		l.Filters = append(l.Filters, wire.Filter{Name: "f_active", Value: mail.Flag(*q.Active)})
	}
	return l
}

// mailboxForm is the form of a mailbox. It never shows a password.
func mailboxForm(f module.MailboxForm, _ module.Actor) wire.Form {
	v := f.Mailbox.Values()
	delete(v, "passwd_at")
	if v["domainname"] = f.Mailbox.Domain.Unicode(); f.New {
		delete(v, "active")
	}
	encode(f.Edit, v)
	v["passwd"], v["confirm"] = "", ""
	hidden := []string{}
	if !f.Greylist || f.Filters.Postgrey.IsZero() {
		hidden = append(hidden, "greylist")
	}
	if !f.Spamassassin || f.Filters.Spamd.IsZero() {
		hidden = append(hidden, "spamassassin")
	}
	if len(strings.Fields(v["forward"])) == 0 {
		hidden = append(hidden, "dontsave")
	}
	slices.Sort(hidden)
	return wire.Form{Kind: wire.KindForm, Values: v, SLists: map[string][]wire.Option{}, Hidden: hidden}
}

// deletedColumns are those that the list of what was deleted can be sorted by.
var deletedColumns = []string{"at", "id", "object", "owner", "until", "mailboxes", "used"}

func parseDeleted(p params) (mail.Query, error) {
	if p["p_sort"] == "" && p["p_order"] == "" { // the newest first
		p = params{"p_order": "desc", "p_num": p["p_num"], "p_cnt": p["p_cnt"], "f_name": p["f_name"]}
	}
	at, err := parsePage(p, deletedColumns)
	if err == nil && len(p["f_name"]) > longestFilter {
		err = &mail.Error{Kind: mail.Invalid, Field: "f_name", Value: p["f_name"]}
	}
	return mail.Query{Sort: at.sort, Desc: at.desc, Limit: at.limit, Offset: at.offset, Name: p["f_name"]}, err
}

// deletedList is a page of the list of what was deleted and can be brought back.
func deletedList(ds []module.Deleted, total int64, q mail.Query, by module.Actor) wire.List {
	l := page{q.Sort, q.Desc, q.Limit, q.Offset}.list(total)
	for _, d := range ds {
		v := map[string]string{
			"id": strconv.FormatInt(d.ID, 10), "object": d.Object, "owner": d.Owner, "user": d.User,
			"at": d.At.Format(time.RFC3339), "until": d.Until.Format(time.RFC3339),
			"mailboxes": strconv.FormatInt(d.Count, 10), "used": strconv.FormatInt(d.Used, 10),
		}
		if by.Level == mail.LevelUser {
			delete(v, "owner")
		}
		l.Elems = append(l.Elems, v)
	}
	if q.Name != "" {
		l.Filters = append(l.Filters, wire.Filter{Name: "f_name", Value: q.Name})
	}
	return l
}

// editSettings is the form of the module's settings.
func editSettings(ctx context.Context, m *module.Module, by module.Actor, p params) (any, error) {
	e, err := decode[mail.SettingsEdit](p)
	if err != nil {
		return nil, err
	}
	if p["sok"] != "" {
		if err := m.EditSettings(ctx, by, e); err != nil {
			return nil, err
		}
		return wire.OK{Kind: wire.KindOK, Redirect: &wire.Redirect{Type: wire.KindForm, Func: "mailparam"}}, nil
	}
	s, err := m.Settings(ctx)
	if err != nil {
		return nil, err
	}
	v := s.Values()
	v["dns_withdraw"] = mail.Flag(false)
	if p["sv_field"] != "" {
		encode(e, v)
	}
	for secret := range s.Secrets() {
		v[secret] = ""
	}
	states, err := m.FilterStates(ctx)
	if err != nil {
		return nil, err
	}
	for name, state := range states {
		v[name+"_state"], _ = message(by.Lang, "mailparam", "filter_"+string(state))
	}
	hidden := []string{}
	if strings.TrimSpace(v["acme_eab_kid"]) == "" {
		hidden = append(hidden, "acme_eab_key")
	}
	if v["dns"] != string(mail.DNSByServer) {
		hidden = append(hidden, "dns_algorithm", "dns_key", "dns_secret", "dns_server")
	}
	return wire.Form{
		Kind: wire.KindForm, Values: v, Hidden: hidden,
		SLists: map[string][]wire.Option{
			"dkim_keylen":    options(by.Lang, "emaildomain.edit", "dkim_keylen", "1024", "2048"),
			"dns":            options(by.Lang, "mailparam", "dns", string(mail.DNSByCore), string(mail.DNSByServer), string(mail.DNSByHand)),
			"spam_down":      options(by.Lang, "mailparam", "spam_down", string(mail.DownPass), string(mail.DownDefer)),
			"virus_down":     options(by.Lang, "mailparam", "virus_down", string(mail.DownDefer), string(mail.DownPass)),
			"acme_challenge": challenges(by.Lang, "mailparam", "acme_challenge"),
			"dns_algorithm":  options(by.Lang, "mailparam", "dns_algorithm", "hmac-sha256", "hmac-sha512", "hmac-sha384", "hmac-sha224"),
		},
	}, nil
}
