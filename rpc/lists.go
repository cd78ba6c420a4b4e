package rpc

import (
	"context"
	"strings"

	"maildomain/module"
	"maildomain/module/mail"
	"maildomain/rpc/wire"
)

// listedColumns are those that a list of senders can be sorted by.
var listedColumns = []string{"sender", "domainname", "note", "created"}

// A listedQuery asks for entries of a list, of one domain or of all.
type listedQuery struct {
	domain string
	mail.ListedQuery
}

// senders is a list of senders: the white one or the black one.
func senders(of mail.List) method {
	return list(mail.LevelUser, func(m *module.Module, ctx context.Context, by module.Actor, q listedQuery) ([]mail.Listed, int64, error) {
		return m.Listed(ctx, by, q.domain, q.ListedQuery)
	}, func(p params) (listedQuery, error) {
		at, err := parsePage(p, listedColumns)
		if err == nil && len(p["f_name"]) > longestFilter {
			err = &mail.Error{Kind: mail.Invalid, Field: "f_name", Value: p["f_name"]}
		}
		domain := p["plid"]
		if domain == "" {
			domain = p["elid"]
		}
		return listedQuery{domain, mail.ListedQuery{List: of, Sort: at.sort, Desc: at.desc, Limit: at.limit, Offset: at.offset, Name: p["f_name"]}}, err
	}, listedList)
}

// listedList is a page of a list of senders.
func listedList(ls []mail.Listed, total int64, q listedQuery, by module.Actor) wire.List {
	l := page{q.Sort, q.Desc, q.Limit, q.Offset}.list(total)
	for _, e := range ls {
		v := e.Values()
		v["id"] = e.ID()
		v["kind_text"], _ = message(by.Lang, "whitelist", "kind_"+v["kind"])
		v["domainname"] = e.Domain.Unicode()
		delete(v, "list")
		l.Elems = append(l.Elems, v)
	}
	if q.Name != "" {
		l.Filters = append(l.Filters, wire.Filter{Name: "f_name", Value: q.Name})
	}
	return l
}

// sendersForm is the form of an entry of a list of senders.
func sendersForm(of mail.List, next string) method {
	return form(mail.LevelUser, func(m *module.Module, ctx context.Context, by module.Actor, elid string, e mail.ListedEdit) (module.ListedForm, error) {
		return m.OpenListed(ctx, by, of, elid, e)
	}, func(m *module.Module, ctx context.Context, by module.Actor, e mail.ListedEdit) (listedID, error) {
		l, err := m.AddListed(ctx, by, of, e)
		return listedID{l}, err
	}, func(m *module.Module, ctx context.Context, by module.Actor, elid string, e mail.ListedEdit) (listedID, error) {
		l, err := m.EditListed(ctx, by, of, elid, e)
		return listedID{l}, err
	}, listedForm, next)
}

// listedID is an entry that is named by its id.
type listedID struct{ mail.Listed }

func (l listedID) String() string { return l.ID() }

func listedForm(f module.ListedForm, _ module.Actor) wire.Form {
	v := map[string]string{"sender": f.Listed.Sender.String(), "domainname": f.Listed.Domain.Unicode(), "note": f.Listed.Note}
	encode(f.Edit, v)
	v["sender"] = strings.TrimSpace(v["sender"])
	return wire.Form{Kind: wire.KindForm, Values: v, SLists: map[string][]wire.Option{}, Hidden: []string{}}
}

// sendersDelete removes entries from a list of senders.
func sendersDelete(of mail.List) method {
	return group(mail.LevelUser, func(m *module.Module, ctx context.Context, by module.Actor, elids []string) ([]module.Outcome, error) {
		return m.DeleteListed(ctx, by, of, elids)
	})
}
