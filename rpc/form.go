package rpc

import (
	"reflect"
	"slices"

	"maildomain/module"
	"maildomain/module/mail"
	"maildomain/rpc/wire"
)

// decode reads the parameters that an edit knows by the tag "form" of its fields:
// *string as it is, *bool from on and off. Others are ignored: clients of other
// editions send more.
func decode[E any](p params) (e E, err error) {
	v := reflect.ValueOf(&e).Elem()
	for i := range v.NumField() {
		name := v.Type().Field(i).Tag.Get("form")
		text, sent := p[name]
		if !sent || name == "" {
			continue
		}
		switch to := v.Field(i).Addr().Interface().(type) {
		case *string:
			*to = text
		case **string:
			*to = &text
		case **bool:
			on := text == "on"
			if !on && text != "off" {
				return e, &mail.Error{Kind: mail.Invalid, Field: name, Value: text, Text: "value_flag"}
			}
			*to = &on
		default:
			panic("no way to read a parameter into field " + v.Type().Field(i).Name)
		}
	}
	return e, nil
}

// fieldsOf are the parameters that decode reads into an E.
func fieldsOf[E any]() (names []string) {
	t := reflect.TypeFor[E]()
	for i := range t.NumField() {
		if name := t.Field(i).Tag.Get("form"); name != "" {
			names = append(names, name)
		}
	}
	return names
}

// encode writes what of an edit was sent over the values of a form.
func encode[E any](e E, values map[string]string) {
	v := reflect.ValueOf(e)
	for i := range v.NumField() {
		name := v.Type().Field(i).Tag.Get("form")
		switch from := v.Field(i).Interface().(type) {
		case string:
			if from != "" {
				values[name] = from
			}
		case *string:
			if from != nil {
				values[name] = *from
			}
		case *bool:
			if from != nil {
				values[name] = mail.Flag(*from)
			}
		}
	}
}

// notInstalled are the fields whose filter is not there: a domain that has it on keeps
// that, and nobody is offered it.
func notInstalled(f mail.Filters) (fields []string) {
	for field, a := range map[string]mail.FilterAddr{"greylist": f.Postgrey, "spamassassin": f.Spamd, "avcheck": f.Clamd} {
		if a.IsZero() {
			fields = append(fields, field)
		}
	}
	slices.Sort(fields)
	return fields
}

// domainForm is the form of a mail domain.
func domainForm(f module.DomainForm, by module.Actor) wire.Form {
	v := f.Domain.Values()
	if f.Domain.Name.IsZero() {
		v["name"], v["secure_alias"], v["email"] = "", "", ""
	} else {
		v["name"] = f.Domain.Name.Unicode()
	}
	encode(f.Edit, v)
	if v["defaction"] == "domain" {
		v["defaction"] = string(mail.ForwardDomain)
	}
	delete(v, "name_idn")
	delete(v, "mailrate")
	if f.New {
		delete(v, "active")
	}

	hidden := append(notInstalled(f.Filters), notSecured(v, f.MaySSL || f.Domain.Secure)...)
	if !mail.DefaultAction(v["defaction"]).Forwards() {
		hidden = append(hidden, "redirval")
	}
	if v["dkim"] != "on" {
		hidden = append(hidden, "dkim_selector", "dkim_keylen", "dkim_ed25519")
	}
	if v["ipsrc"] != "manual" {
		hidden = append(hidden, "ip")
	}
	slists := map[string][]wire.Option{
		"ipsrc":       options(by.Lang, "emaildomain.edit", "ipsrc", "auto", "manual"),
		"defaction":   {},
		"dkim_keylen": options(by.Lang, "emaildomain.edit", "dkim_keylen", "1024", "2048"),
		"ip":          {},

		"ssl_name":      sources(by.Lang, f.Certificates, v["ssl_name"]),
		"ssl_challenge": challenges(by.Lang, "emaildomain.edit", "ssl_challenge"),
	}
	for _, a := range mail.DefaultActions {
		slists["defaction"] = append(slists["defaction"], options(by.Lang, "emaildomain.edit", "defaction", string(a))...)
	}
	for _, a := range f.IPs {
		slists["ip"] = append(slists["ip"], wire.Option{Key: a.String(), Label: a.String()})
	}
	if by.Level == mail.LevelUser {
		delete(v, "owner")
		hidden = append(hidden, "owner")
	} else {
		slists["owner"] = []wire.Option{}
		for _, o := range f.Owners {
			slists["owner"] = append(slists["owner"], wire.Option{Key: o, Label: o})
		}
	}
	slices.Sort(hidden)
	return wire.Form{Kind: wire.KindForm, Values: v, SLists: slists, Hidden: hidden}
}

// options are the choices of a select of a form, named in a language.
func options(lang, form, field string, keys ...string) []wire.Option {
	var os []wire.Option
	for _, k := range keys {
		label, ok := message(lang, form, field+"_"+k)
		if !ok {
			label = k
		}
		os = append(os, wire.Option{Key: k, Label: label})
	}
	return os
}
