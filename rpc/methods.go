package rpc

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"maildomain/module"
	"maildomain/module/mail"
	"maildomain/rpc/wire"
)

// methods is everything the panel can call, by the name it calls it.
var methods = map[string]method{
	"emaildomain":         {wire.KindList, mail.LevelUser, nil, listDomains},
	"emaildomain.edit":    form(mail.LevelUser, (*module.Module).OpenDomain, (*module.Module).AddDomain, (*module.Module).EditDomain, domainForm, "emaildomain"),
	"emaildomain.delete":  group(mail.LevelUser, (*module.Module).DeleteDomains),
	"emaildomain.suspend": group(mail.LevelUser, (*module.Module).SuspendDomains),
	"emaildomain.resume":  group(mail.LevelUser, (*module.Module).ResumeDomains),

	"emaildomain.passredirect": {wire.KindForm, mail.LevelReseller, []string{"elid", "owner"}, passDomains},
	"emaildomain.su":           {"action", mail.LevelReseller, nil, loginAsOwner},
	"emaildomain.happyfilter":  {"action", mail.LevelReseller, nil, filterByOwner},
	"emaildomain.filter":       {wire.KindForm, mail.LevelUser, filterParams(), filterDomains},
	"emaildomain.history":      list(mail.LevelUser, (*module.Module).DomainHistory, parseHistory, historyList),
	"emaildomain.undo":         {"action", mail.LevelUser, nil, undoChange},

	"emaildomain.deleted":         list(mail.LevelUser, (*module.Module).ListDeleted, parseDeleted, deletedList),
	"emaildomain.deleted.restore": group(mail.LevelUser, (*module.Module).RestoreDeleted),
	"emaildomain.deleted.delete":  group(mail.LevelUser, (*module.Module).ForgetDeleted),

	"emaildomain.dns":         ofDomain(method{wire.KindList, mail.LevelUser, nil, recordList}),
	"emaildomain.dns.publish": ofDomain(group(mail.LevelUser, (*module.Module).PublishRecords)),
	"emaildomain.dns.zone":    ofDomain(method{wire.KindReport, mail.LevelUser, nil, zoneText}),
	"emaildomain.check":       ofDomain(method{wire.KindReport, mail.LevelUser, nil, checkDomain}),
	"emaildomain.stats":       ofDomain(method{wire.KindReport, mail.LevelUser, nil, domainStats}),
	"emaildomain.dkim.rotate": ofDomain(group(mail.LevelUser, (*module.Module).RotateKeys)),
	"emaildomain.dkim.import": ofDomain(method{wire.KindForm, mail.LevelUser, []string{"elid", "private", "selector"}, importKey}),
	"emaildomain.dkim.export": ofDomain(method{wire.KindReport, mail.LevelReseller, nil, exportKey}),

	"emaildomain.ssl":         {wire.KindForm, mail.LevelUser, sslFields, domainsSSL},
	"email.toplevel.ssl.edit": {wire.KindForm, mail.LevelAdmin, append(fieldsOf[mail.ServerSSLEdit](), "renew"), serverSSL},

	"email":         list(mail.LevelUser, listMailboxes, parseMailboxes, mailboxList),
	"email.edit":    form(mail.LevelUser, (*module.Module).OpenMailbox, (*module.Module).AddMailbox, (*module.Module).EditMailbox, mailboxForm, "email"),
	"email.delete":  group(mail.LevelUser, (*module.Module).DeleteMailboxes),
	"email.suspend": group(mail.LevelUser, (*module.Module).SuspendMailboxes),
	"email.resume":  group(mail.LevelUser, (*module.Module).ResumeMailboxes),
	"email.clear":   group(mail.LevelUser, (*module.Module).ClearMailboxes),

	"whitelist":        senders(mail.White),
	"whitelist.edit":   sendersForm(mail.White, "whitelist"),
	"whitelist.delete": sendersDelete(mail.White),
	"blacklist":        senders(mail.Black),
	"blacklist.edit":   sendersForm(mail.Black, "blacklist"),
	"blacklist.delete": sendersDelete(mail.Black),

	"mailparam": {wire.KindForm, mail.LevelAdmin, fieldsOf[mail.SettingsEdit](), editSettings},
}

// A method is one line of the table.
type method struct {
	kind   string     // list, form, group, action
	level  mail.Level // the lowest that may call it
	fields []string   // of a form
	call   func(ctx context.Context, m *module.Module, by module.Actor, p params) (any, error)
}

// params are the parameters of a call as they came.
type params map[string]string

// Methods answers calls from the table.
type Methods struct{ module *module.Module }

// NewMethods is the table over a module.
func NewMethods(m *module.Module) *Methods { return &Methods{m} }

// Call runs one function of the table. Its result is one of package wire's.
func (t *Methods) Call(ctx context.Context, c wire.Call) (any, error) {
	f, ok := methods[c.Func]
	if !ok {
		return nil, &mail.Error{Kind: mail.NotFound, Field: "func", Value: c.Func, Text: "missed_func"}
	}
	s := c.Session
	by := module.Actor{
		User: s.User, Level: mail.Level(s.Level), Lang: s.Lang,
		SuBy: s.SuBy, RequestID: s.RequestID, RemoteIP: s.RemoteIP,
	}
	if by.User == "" || !by.Level.AtLeast(f.level) {
		return nil, &mail.Error{Kind: mail.Access, Field: "func", Value: c.Func}
	}
	if c.Params["dry_run"] != "on" {
		return f.call(ctx, t.module, by, params(c.Params))
	}
	by.Preview = &module.Preview{}
	result, err := f.call(ctx, t.module, by, params(c.Params))
	would, saves := result.(wire.OK)
	if err != nil || !saves {
		return result, err // what changes nothing is its own preview
	}
	return preview(by.Preview, would), nil
}

// Functions are the lines of the table as the core is told of them.
func Functions() []wire.Function {
	var fs []wire.Function
	for name, f := range methods {
		fs = append(fs, wire.Function{Name: name, Kind: f.kind, Level: string(f.level)})
	}
	slices.SortFunc(fs, func(a, b wire.Function) int { return strings.Compare(a.Name, b.Name) })
	return fs
}

// form is a function that shows without sok and saves with it: a new object
// without elid, or the one that elid names. A new one of a list below another, such
// as a mailbox of a domain, has the parent's name in plid.
func form[E, F any, I fmt.Stringer](level mail.Level,
	open func(*module.Module, context.Context, module.Actor, string, E) (F, error),
	add func(*module.Module, context.Context, module.Actor, E) (I, error),
	edit func(*module.Module, context.Context, module.Actor, string, E) (I, error),
	show func(F, module.Actor) wire.Form, next string,
) method {
	return method{wire.KindForm, level, fieldsOf[E](), func(ctx context.Context, m *module.Module, by module.Actor, p params) (any, error) {
		save := p["sok"] != ""
		if !save && p["sv_field"] == "" {
			p = params{"elid": p["elid"], "plid": p["plid"], "domainname": p["domainname"]} // nothing is typed yet
		}
		if p["elid"] == "" && p["domainname"] == "" && p["plid"] != "" {
			p = maps.Clone(p)
			p["domainname"] = p["plid"]
		}
		e, err := decode[E](p)
		if err != nil {
			return nil, err
		}
		if !save {
			f, err := open(m, ctx, by, p["elid"], e)
			if err != nil {
				return nil, err
			}
			return show(f, by), nil
		}
		var n I
		withDNS := next == toList.Func && by.Preview == nil && (p["elid"] != "" || p["dkim"] == "on" || p["dmarc"] == "on" || p["secure"] == "on")
		if withDNS {
			by.Records = &module.Reading{}
		}
		if elid := p["elid"]; elid != "" {
			n, err = edit(m, ctx, by, elid, e)
		} else {
			n, err = add(m, ctx, by, e)
		}
		if err != nil {
			return nil, err
		}
		ok := wire.OK{Kind: wire.KindOK, ID: n.String(), Redirect: &wire.Redirect{Type: wire.KindList, Func: next}}
		if withDNS {
			ok = withRecords(ctx, m, by, ok)
		}
		if next == toList.Func && by.Preview == nil && p["secure"] == "on" {
			ok = withCertificate(ctx, m, by, ok)
		}
		return ok, nil
	}}
}

// ofDomain is a function of a domain that can also be called from the page of its
// records, whose parent, plid, is the domain.
func ofDomain(f method) method {
	call := f.call
	f.call = func(ctx context.Context, m *module.Module, by module.Actor, p params) (any, error) {
		if p["elid"] == "" && p["plid"] != "" {
			p = maps.Clone(p)
			p["elid"] = p["plid"]
		}
		return call(ctx, m, by, p)
	}
	return f
}

// mostElids is how many objects one call may name.
const mostElids = 10_000

// group is a function that does the same to each of several objects. One object's
// error is the call's; of several, each has a row of its own.
func group(level mail.Level, each func(*module.Module, context.Context, module.Actor, []string) ([]module.Outcome, error)) method {
	return method{"group", level, nil, func(ctx context.Context, m *module.Module, by module.Actor, p params) (any, error) {
		elids, err := p.elids()
		if err != nil {
			return nil, err
		}
		done, err := each(m, ctx, by, elids)
		if err != nil {
			return nil, err
		}
		return outcomes(done, p["elid"], by)
	}}
}

// elids are the objects that a call names: one, or several with commas between.
func (p params) elids() ([]string, error) {
	var elids []string
	for e := range strings.SplitSeq(p["elid"], ",") {
		if e = strings.TrimSpace(e); e != "" {
			elids = append(elids, e)
		}
	}
	switch {
	case len(elids) == 0:
		return nil, &mail.Error{Kind: mail.NotFound, Field: "elid"}
	case len(elids) > mostElids:
		return nil, &mail.Error{Kind: mail.Invalid, Field: "elid", Text: "value_elid_many"}
	}
	return elids, nil
}

// outcomes is the answer of a group operation.
func outcomes(done []module.Outcome, elid string, by module.Actor) (any, error) {
	if len(done) == 1 && done[0].Err != nil {
		return nil, done[0].Err
	}
	ok := wire.OK{Kind: wire.KindOK, ID: elid, Done: []wire.Done{}}
	for _, o := range done {
		row := wire.Done{Elid: o.Elid, OK: o.Err == nil}
		if o.Err != nil {
			row.Error, _, _ = describe(o.Err, by.Lang)
		}
		ok.Done = append(ok.Done, row)
	}
	return ok, nil
}

// list is a function that shows rows.
func list[Q, R any](level mail.Level,
	read func(*module.Module, context.Context, module.Actor, Q) ([]R, int64, error),
	parse func(params) (Q, error), show func([]R, int64, Q, module.Actor) wire.List,
) method {
	return method{wire.KindList, level, nil, func(ctx context.Context, m *module.Module, by module.Actor, p params) (any, error) {
		q, err := parse(p)
		if err != nil {
			return nil, err
		}
		rows, total, err := read(m, ctx, by, q)
		if err != nil {
			return nil, err
		}
		return show(rows, total, q, by), nil
	}}
}
