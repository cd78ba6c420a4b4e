package rpc

import (
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"maildomain/module"
	"maildomain/module/mail"
	"maildomain/module/store"
)

// words say how certificates stand, in a language, at an instant.
type words struct {
	lang string
	now  time.Time
}

// say is a sentence about certificates with its placeholders filled.
func (w words) say(name string, args map[string]string) string {
	return fillIn(text(w.lang, "emaildomain.ssl", name), args)
}

// about is all that there is to say of one certificate, by the names of the form's
// fields, and the bare facts for programs.
func (w words) about(s module.SSL) map[string]string {
	v := map[string]string{"state": w.state(s), "order": "", "shown": "", "counts": "", "issuer": "", "ssl_expire": "", "renew_at": "", "order_state": "", "order_due": ""}
	if c, err := mail.ParseChain(s.Certificate.Chain); err == nil {
		v["issuer"], v["ssl_expire"] = c.Issuer, c.NotAfter.UTC().Format(time.RFC3339)
	}
	if at := s.Certificate.Renew; !at.IsZero() {
		v["renew_at"] = at.UTC().Format(time.RFC3339)
	}
	if o := s.Order; o != nil {
		v["order"], v["order_state"] = w.order(*o), orderState(*o)
		if !o.Due.IsZero() {
			v["order_due"] = o.Due.UTC().Format(time.RFC3339)
		}
	}
	server := s.Domain.Name.IsZero()
	if server || s.Domain.Secure {
		v["shown"] = w.shown(s.Findings)
	}
	if s.Order != nil || s.Domain.SSLName == mail.LetsEncrypt && (server || s.Domain.Secure) || s.Counts.Orders+s.Counts.Failures+s.Counts.Issued > 0 {
		v["counts"] = w.counts(s.Counts)
	}
	for _, sentence := range []string{"state", "order", "counts"} {
		v[sentence] = capital(v[sentence])
	}
	return v
}

// capital begins a sentence that stands alone.
func capital(s string) string {
	r, n := utf8.DecodeRuneInString(s)
	if n == 0 {
		return s
	}
	return string(unicode.ToUpper(r)) + s[n:]
}

// each is a line for each of several domains, and one for those that are left out.
func (w words) each(all []module.SSL, more int) string {
	var lines []string
	for _, s := range all {
		line := s.Domain.Name.Unicode() + ": " + w.state(s)
		if s.Order != nil {
			line += "; " + w.order(*s.Order)
		}
		lines = append(lines, line)
	}
	if more > 0 {
		lines = append(lines, w.say("more", map[string]string{"count": number(more)}))
	}
	return strings.Join(lines, "\n")
}

// state says what is served.
func (w words) state(s module.SSL) string {
	server := s.Domain.Name.IsZero()
	if !server && !s.Domain.Secure {
		return w.say("said_off", nil)
	}
	c, err := mail.ParseChain(s.Certificate.Chain)
	if err != nil {
		return w.say("said_none", nil)
	}
	source := s.Certificate.Source
	args := map[string]string{
		"names": strings.Join(unicodeNames(c.Names), ", "), "issuer": c.Issuer, "source": string(source), "expire": day(c.NotAfter), "renew": day(s.Certificate.Renew),
	}
	said := "said_panel"
	switch {
	case !c.NotAfter.After(w.now):
		said = "said_expired"
	case source == mail.SelfSigned:
		said = "said_selfsigned"
	case source == mail.LetsEncrypt:
		said = "said_letsencrypt"
	case server:
		said = "said_given"
	}
	sentence := w.say(said, args)
	if !s.Certificate.Renew.IsZero() && s.Order == nil {
		next := "renew_selfsigned"
		if source == mail.LetsEncrypt && s.Domain.SSLName != mail.SelfSigned {
			next = "renew_letsencrypt"
		}
		sentence += "; " + w.say(next, args)
	}
	if len(s.Certificate.Lacks) > 0 {
		sentence += "; " + w.say("said_lacks", map[string]string{"names": strings.Join(unicodeNames(texts(s.Certificate.Lacks)), ", ")})
	}
	if p := s.Certificate.Problem; p != "" {
		sentence += "; " + w.problem(p, nil, string(s.Domain.SSLName))
	}
	return sentence
}

// orderState is a word for programs: failed, waiting, or the step that it is at.
func orderState(o store.OrderRow) string {
	switch {
	case o.Step != "":
		return o.Step
	case o.Kind != "":
		return "failed"
	}
	return "waiting"
}

// order says how far an order is, or why it failed and when it is tried again.
func (w words) order(o store.OrderRow) string {
	args := map[string]string{"names": strings.Join(unicodeNames(texts(o.Names)), ", "), "due": minute(o.Due), "failures": number(o.Failures)}
	if o.Step != "" {
		return w.say("order_"+o.Step, args)
	}
	if o.Kind == "" && o.Due.After(w.now) {
		return w.say("order_later", args)
	}
	if o.Kind == "" {
		return w.say("order_waiting", args)
	}
	args["problem"] = w.problem(o.Text, o.Args, "")
	said := w.say("order_failed", args)
	if o.Detail != "" && !strings.Contains(args["problem"], o.Detail) {
		said += "; " + w.say("order_detail", map[string]string{"detail": o.Detail})
	}
	return said
}

// problem is the sentence of an error that was kept by its name.
func (w words) problem(name string, args map[string]string, value string) string {
	return sentence(w.lang, &mail.Error{Kind: mail.Unavailable, Text: name, Args: args}, value)
}

// shown says what the mail servers showed, a line for each name and port.
func (w words) shown(fs []store.Finding) string {
	var lines []string
	for _, f := range fs {
		said := capital(verdict(w.lang, f.Verdict))
		if f.Name != "" { // else it is what is shown to who asks for no name
			said = f.Name + ": " + verdict(w.lang, f.Verdict)
		}
		lines = append(lines, said)
		for _, s := range f.Seen {
			said := strings.Join(s.Values, ", ")
			if s.Error != "" {
				said = s.Error
			}
			lines = append(lines, "– "+s.Who+": "+said)
		}
	}
	if len(lines) == 0 {
		return capital(w.say("shown_none", nil))
	}
	return strings.Join(lines, "\n")
}

// counts says what the authority has counted in the last seven days.
func (w words) counts(c store.OrderCounts) string {
	args := map[string]string{
		"orders": number(c.Orders), "failures": number(c.Failures), "issued": number(c.Issued), "same": number(c.Same), "near": number(c.Near), "domain": c.Domain.Unicode(),
	}
	said := w.say("said_counts", args)
	if !c.Domain.IsZero() {
		said += "; " + w.say("said_counts_near", args)
	}
	return said
}

func texts(ns []mail.Name) (ss []string) {
	for _, n := range ns {
		ss = append(ss, n.String())
	}
	return ss
}

// unicodeNames are names as people write them; what is no name, as a wildcard, as it is.
func unicodeNames(names []string) (ss []string) {
	for _, s := range names {
		if n, err := mail.ParseName(s); err == nil {
			s = n.Unicode()
		}
		ss = append(ss, s)
	}
	return ss
}

func day(t time.Time) string { return t.UTC().Format(time.DateOnly) }

func minute(t time.Time) string { return t.UTC().Format("2006-01-02 15:04 UTC") }
