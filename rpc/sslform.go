package rpc

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"strconv"
	"strings"

	"maildomain/module"
	"maildomain/module/mail"
	"maildomain/rpc/wire"
)

// certificateFields are the settings of a domain that its certificate follows from.
var certificateFields = []string{"secure", "secure_alias", "ssl_name", "ssl_challenge", "email"}

// sslFields are the parameters of the form about the certificates of mail domains.
var sslFields = append([]string{"elid", "renew"}, certificateFields...)

// mostShown is how many domains the form about several says something of.
const mostShown = 20

// domainsSSL is the form about the certificates of one domain or several.
func domainsSSL(ctx context.Context, m *module.Module, by module.Actor, p params) (any, error) {
	elids, err := p.elids()
	if err != nil {
		return nil, err
	}
	e, renew, err := p.certificates()
	if err != nil {
		return nil, err
	}
	if p["sok"] == "" {
		return openSSL(ctx, m, by, p["elid"], elids, e, renew)
	}
	done, err := m.EditSSL(ctx, by, elids, e, renew)
	if err != nil {
		return nil, err
	}
	result, err := outcomes(done, p["elid"], by)
	if ok, is := result.(wire.OK); is {
		ok.Redirect = &toList
		if len(elids) == 1 && by.Preview == nil {
			ok = withCertificate(ctx, m, by, ok)
		}
		result = ok
	}
	return result, err
}

// certificates reads what a call says of certificates. An empty choice leaves each
// domain's as it is.
func (p params) certificates() (e mail.DomainEdit, renew bool, err error) {
	of := params{}
	for _, name := range certificateFields {
		if v, sent := p[name]; sent && (v != "" || name != "secure") {
			of[name] = v
		}
	}
	if e, err = decode[mail.DomainEdit](of); err != nil {
		return e, false, err
	}
	switch p["renew"] {
	case "on":
		renew = true
	case "", "off":
	default:
		err = &mail.Error{Kind: mail.Invalid, Field: "renew", Value: p["renew"], Text: "value_flag"}
	}
	return e, renew, err
}

// openSSL is the form about elids, which elid names, with what was typed. What several
// do not have in common is empty: it stays as it is with each.
func openSSL(ctx context.Context, m *module.Module, by module.Actor, elid string, elids []string, e mail.DomainEdit, renew bool) (any, error) {
	var all []module.SSL
	for _, elid := range elids[:min(len(elids), mostShown)] {
		s, err := m.DomainSSL(ctx, by, elid)
		if err != nil {
			return nil, err
		}
		all = append(all, s)
	}
	v, owners := map[string]string{}, all[0].Choices
	for i, s := range all {
		of := s.Domain.Values()
		for _, name := range certificateFields {
			if i == 0 {
				v[name] = of[name]
			} else if v[name] != of[name] {
				v[name] = ""
			}
		}
		owners = slices.DeleteFunc(slices.Clone(owners), func(name string) bool { return !slices.Contains(s.Choices, name) })
	}
	if len(elids) > len(all) { // not all were looked at
		for _, name := range certificateFields {
			v[name] = ""
		}
	}
	encode(e, v)
	hidden := notSecured(map[string]string{"secure": cmp.Or(v["secure"], "on"), "ssl_name": cmp.Or(v["ssl_name"], string(mail.LetsEncrypt))}, true)
	w := words{by.Lang, m.Now()}
	if len(elids) == 1 {
		maps.Copy(v, w.about(all[0]))
	} else {
		v["state"] = w.each(all, len(elids)-len(all))
		v["order"], v["shown"], v["counts"], v["secure_alias"] = "", "", "", ""
		hidden = append(hidden, "secure_alias")
	}
	for _, name := range []string{"order", "shown", "counts"} {
		if v[name] == "" {
			hidden = append(hidden, name)
		}
	}
	if v["secure"] == "off" {
		hidden = append(hidden, "renew")
	}
	v["elid"], v["renew"] = elid, mail.Flag(renew)
	slices.Sort(hidden)
	slists := map[string][]wire.Option{
		"secure":        options(by.Lang, "emaildomain.ssl", "secure", "on", "off"),
		"ssl_name":      sources(by.Lang, owners, v["ssl_name"]),
		"ssl_challenge": challenges(by.Lang, "emaildomain.edit", "ssl_challenge"),
	}
	for name := range slists {
		if v[name] == "" && len(elids) > 1 {
			slists[name] = slices.Concat(options(by.Lang, "emaildomain.ssl", "each", ""), slists[name])
		}
	}
	return wire.Form{Kind: wire.KindForm, Values: v, SLists: slists, Hidden: slices.Compact(hidden)}, nil
}

// withCertificate adds to the answer of a saving call what became of the domain's
// certificate.
func withCertificate(ctx context.Context, m *module.Module, by module.Actor, ok wire.OK) wire.OK {
	s, err := m.DomainSSL(ctx, by, ok.ID)
	if err != nil || !s.Domain.Secure {
		return ok // what was saved is saved
	}
	w := words{by.Lang, m.Now()}
	n := wire.Note{Object: "ssl_name", State: wire.NoteDone, Said: w.state(s)}
	if s.Order != nil {
		n.State, n.Said = wire.NotePending, n.Said+"; "+w.order(*s.Order)
		if s.Order.Kind != "" {
			n.State = wire.NoteFailed
		}
	}
	ok.Notes = append(ok.Notes, n)
	return ok
}

// serverSSL is the form about the certificate of the mail server itself.
func serverSSL(ctx context.Context, m *module.Module, by module.Actor, p params) (any, error) {
	e, err := decode[mail.ServerSSLEdit](p)
	if err != nil {
		return nil, err
	}
	if _, e.Renew, err = (params{"renew": p["renew"]}).certificates(); err != nil {
		return nil, err
	}
	if p["sok"] != "" {
		if err := m.EditServerSSL(ctx, by, e); err != nil {
			return nil, err
		}
		return wire.OK{Kind: wire.KindOK, Redirect: &wire.Redirect{Type: wire.KindForm, Func: "email.toplevel.ssl.edit"}}, nil
	}
	s, err := m.ServerSSL(ctx, by)
	if err != nil {
		return nil, err
	}
	w := words{by.Lang, m.Now()}
	s.Domain.SSLName = cmp.Or(s.Certificate.Source, mail.SelfSigned)
	if s.Order != nil {
		s.Domain.SSLName = mail.LetsEncrypt
	}
	v := w.about(s)
	v["ssl_name"] = string(s.Domain.SSLName)
	if p["ssl_name"] != "" {
		v["ssl_name"] = p["ssl_name"]
	}
	v["certificate"], v["key"], v["renew"] = "", "", mail.Flag(e.Renew)
	var hidden []string
	for _, name := range []string{"order", "shown", "counts"} {
		if v[name] == "" {
			hidden = append(hidden, name)
		}
	}
	if v["ssl_name"] == string(mail.GivenCertificate) {
		hidden = append(hidden, "renew")
	} else {
		hidden = append(hidden, "certificate", "key")
	}
	slices.Sort(hidden)
	f := wire.Form{Kind: wire.KindForm, Values: v, Hidden: hidden, SLists: map[string][]wire.Option{"ssl_name": {}}}
	for _, source := range mail.ServerSSLNames {
		f.SLists["ssl_name"] = append(f.SLists["ssl_name"], options(by.Lang, "email.toplevel.ssl.edit", "ssl_name", string(source))...)
	}
	return f, nil
}

// fillIn puts what args say into the placeholders of a text.
func fillIn(text string, args map[string]string) string {
	var fill []string
	for name, value := range args {
		fill = append(fill, "__"+name+"__", value)
	}
	return strings.NewReplacer(fill...).Replace(text)
}

func number(n int) string { return strconv.Itoa(n) }
