package mail

import (
	"encoding/json"
	"encoding/xml"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func ptrTo[T any](v T) *T { return &v }

// boxEditOf is the edit that makes a mailbox what its Values said.
func boxEditOf(v map[string]string) MailboxEdit {
	on := func(s string) *bool { return ptrTo(s == "on") }
	return MailboxEdit{
		Name: v["name"], Domain: v["domainname"], MaxSize: ptrTo(v["maxsize"]), Aliases: ptrTo(v["aliases"]), Forward: ptrTo(v["forward"]),
		DontSave: on(v["dontsave"]), Greylist: on(v["greylist"]), Spamassassin: on(v["spamassassin"]), Note: ptrTo(v["note"]), Active: on(v["active"]),
	}
}

func newBox() Mailbox {
	return Mailbox{Domain: Name{"post.example"}, Name: LocalPart{"box"}, Active: true}
}

func TestNamesOfMailboxes(t *testing.T) {
	for s, want := range map[string]string{
		"info": "info", "A.b_C-d=e": "a.b_c-d=e", "srs": "srs", "srs0": "srs0", "SRS2=x": "srs2=x", "postmaster": "postmaster", "0": "0",
		strings.Repeat("a", 64): strings.Repeat("a", 64),
	} {
		if l, ok := ParseBoxName(s); !ok || l.String() != want {
			t.Errorf("ParseBoxName(%q) = %q, %v; want %q", s, l, ok, want)
		}
	}
	for _, s := range slices.Concat([]string{"", "a+b", "+", "srs0=x", "SRS1-x", "srs0-", ".a", "-a", "a..b", "a@b.example", strings.Repeat("a", 65)}, everywhere("box", "+")) {
		if l, ok := ParseBoxName(s); ok {
			t.Errorf("ParseBoxName(%q) = %q", s, l)
		}
	}
	for _, h := range hostile {
		for _, s := range everywhere("box", h) {
			if l, ok := ParseBoxName(s); ok {
				t.Errorf("ParseBoxName(%q) = %q", s, l)
			}
		}
	}
}

func TestPasswordsThatAreTakenAndRefused(t *testing.T) {
	for what, c := range map[string]struct {
		passwd, confirm *string
		isNew           bool
		field, text     string // empty: taken
	}{
		"none, new":               {nil, nil, true, "passwd", "value_passwd_required"},
		"empty, new":              {ptrTo(""), ptrTo(""), true, "passwd", "value_passwd_required"},
		"none, as it was":         {nil, nil, false, "", ""},
		"empty, as it was":        {ptrTo(""), ptrTo(""), false, "", ""},
		"only confirmed":          {nil, ptrTo("long enough"), false, "confirm", "value_confirm"},
		"only confirmed, empty":   {ptrTo(""), ptrTo("long enough"), false, "confirm", "value_confirm"},
		"no confirmation":         {ptrTo("long enough"), nil, true, "", ""},
		"confirmed":               {ptrTo("long enough"), ptrTo("long enough"), true, "", ""},
		"confirmed otherwise":     {ptrTo("long enough"), ptrTo("Long enough"), true, "confirm", "value_confirm"},
		"confirmed by nothing":    {ptrTo("long enough"), ptrTo(""), false, "confirm", "value_confirm"},
		"seven":                   {ptrTo("1234567"), nil, false, "passwd", "value_passwd_short"},
		"eight":                   {ptrTo("12345678"), nil, false, "", ""},
		"eight letters, 16 bytes": {ptrTo("пароль12"), nil, false, "", ""},
		"four letters, 8 bytes":   {ptrTo("паро"), nil, false, "passwd", "value_passwd_short"},
		"128 bytes":               {ptrTo(strings.Repeat("x", 128)), nil, false, "", ""},
		"129 bytes":               {ptrTo(strings.Repeat("x", 129)), nil, false, "passwd", "value_passwd"},
		"line break":              {ptrTo("12345678\n"), nil, false, "passwd", "value_passwd"},
		"NUL":                     {ptrTo("1234\x005678"), nil, false, "passwd", "value_passwd"},
		"no text":                 {ptrTo("12345678\xff"), nil, false, "passwd", "value_passwd"},
		"what others take apart":  {ptrTo(`:{}$|"'\ @!#`), nil, false, "", ""},
	} {
		err := MailboxEdit{Passwd: c.passwd, Confirm: c.confirm}.CheckPassword(c.isNew)
		checkWrong(t, what, err, c.field, c.text)
		if e, ok := err.(*Error); ok && e.Value != "" {
			t.Errorf("%s: the error shows %q", what, e.Value)
		}
	}
}

func checkWrong(t rapid.TB, what string, err error, field, text string) {
	t.Helper()
	e, ok := err.(*Error)
	switch {
	case field == "" && err != nil:
		t.Errorf("%s: %v, want no error", what, err)
	case field != "" && (!ok || e.Kind != Invalid || e.Field != field || e.Text != text):
		t.Errorf("%s: %v, want value(%s): %s", what, err, field, text)
	}
}

func TestSettingsOfMailboxesThatAreTakenAndRefused(t *testing.T) {
	many := func(n int, format string) string {
		var all []string
		for i := range n {
			all = append(all, fmt.Sprintf(format, i))
		}
		return strings.Join(all, "\r\n")
	}
	for _, c := range []struct {
		field, value string
		want         string // as Values has it
		text         string // of the error; empty: taken
	}{
		{"maxsize", "0", "0", ""}, {"maxsize", "", "0", ""}, {"maxsize", "100", "100", ""}, {"maxsize", "1073741824", "1073741824", ""},
		{"maxsize", "1073741825", "", "value_maxsize"}, {"maxsize", "-1", "", "value_maxsize"}, {"maxsize", "1.5", "", "value_maxsize"},
		{"maxsize", "1e3", "", "value_maxsize"}, {"maxsize", "99999999999999999999", "", "value_maxsize"}, {"maxsize", " 1", "", "value_maxsize"},

		{"aliases", "", "", ""}, {"aliases", " ", "", ""}, {"aliases", "info", "info", ""}, {"aliases", "Info, sales\n\tSALES", "info sales", ""},
		{"aliases", "b@Post.Example. a", "a b", ""}, {"aliases", "a@other.example", "", "value_aliases_domain"}, {"aliases", "a@", "", "value_aliases_domain"},
		{"aliases", "a@post.example@post.example", "", "value_aliases_domain"}, {"aliases", "BOX", "", "value_aliases_self"},
		{"aliases", "box@post.example", "", "value_aliases_self"}, {"aliases", "a+b", "", "value_aliases"}, {"aliases", "*", "", "value_aliases"},
		{"aliases", "@post.example", "", "value_aliases"}, {"aliases", "srs0=x", "", "value_aliases"},
		{"aliases", many(100, "a%03d"), strings.ReplaceAll(many(100, "a%03d"), "\r\n", " "), ""}, {"aliases", many(101, "a%d"), "", "value_many"},

		{"forward", "", "", ""}, {"forward", "A@b.Example, c+d@пример.рф", "a@b.example c+d@xn--e1afmkfd.xn--p1ai", ""},
		{"forward", "a@b.example a@B.example", "a@b.example", ""}, {"forward", "other@post.example", "other@post.example", ""},
		{"forward", "box@post.example", "", "value_forward_self"}, {"forward", "BOX+x@post.example", "", "value_forward_self"},
		{"forward", "other", "", "value_forward"}, {"forward", "a@localhost", "", "value_forward"}, {"forward", "|cat@b.example", "", "value_forward"},
		{"forward", "a@[192.0.2.1]", "", "value_forward"}, {"forward", "/a/b@c.example", "", "value_forward"},
		{"forward", many(100, "a%d@b.example"), strings.ReplaceAll(many(100, "a%d@b.example"), "\r\n", " "), ""},
		{"forward", many(101, "a%d@b.example"), "", "value_many"},

		{"note", "", "", ""}, {"note", " Бухгалтерия: $5 \"x\" ", "Бухгалтерия: $5 \"x\"", ""}, {"note", strings.Repeat("ж", 255), strings.Repeat("ж", 255), ""},
		{"note", strings.Repeat("ж", 256), "", "value_note"}, {"note", "a\nb", "", "value_note"}, {"note", "\x00", "", "value_note"}, {"note", "\xff", "", "value_note"},
	} {
		e := MailboxEdit{}
		*map[string]**string{"maxsize": &e.MaxSize, "aliases": &e.Aliases, "forward": &e.Forward, "note": &e.Note}[c.field] = &c.value
		b := newBox()
		err := e.Apply(&b)
		what := fmt.Sprintf("%s %.40q", c.field, c.value)
		if c.text != "" {
			checkWrong(t, what, err, c.field, c.text)
			continue
		}
		if got := b.Values()[c.field]; err != nil || got != c.want {
			t.Errorf("%s: %q, %v; want %q", what, got, err, c.want)
		}
	}
}

func TestMailboxThatKeepsNothingNeedsSomewhereToForward(t *testing.T) {
	b := newBox()
	checkWrong(t, "forward only, to nobody", MailboxEdit{DontSave: ptrTo(true)}.Apply(&b), "forward", "value_forward_required")
	b = newBox()
	if err := (MailboxEdit{DontSave: ptrTo(true), Forward: ptrTo("a@b.example")}).Apply(&b); err != nil || !b.DontSave {
		t.Fatalf("forward only: %v", err)
	}
	c := b
	checkWrong(t, "nowhere, and forward only", MailboxEdit{DontSave: ptrTo(true), Forward: ptrTo("")}.Apply(&c), "forward", "value_forward_required")
	c = b
	if err := (MailboxEdit{Forward: ptrTo("")}).Apply(&c); err != nil || c.DontSave {
		t.Errorf("who takes the last address away wants the mail kept: %v, %v", c.DontSave, err)
	}
}

// An alias that mail is forwarded to would send it round.
func TestAliasIsNoAddressThatTheMailboxForwardsTo(t *testing.T) {
	b := newBox()
	if err := (MailboxEdit{Forward: ptrTo("other@post.example")}).Apply(&b); err != nil {
		t.Fatal(err)
	}
	c := b
	checkWrong(t, "alias alone", MailboxEdit{Aliases: ptrTo("other")}.Apply(&c), "aliases", "value_aliases_forward")
	c = b
	checkWrong(t, "alias and forward", MailboxEdit{Aliases: ptrTo("other"), Forward: ptrTo("other@post.example")}.Apply(&c), "forward", "value_forward_self")
	c = b
	if err := (MailboxEdit{Aliases: ptrTo("other"), Forward: ptrTo("x@y.example")}).Apply(&c); err != nil {
		t.Errorf("the address goes as the alias comes: %v", err)
	}
}

func TestHostileTextIsNoSettingOfAMailbox(t *testing.T) {
	for _, h := range hostile {
		for _, s := range everywhere("name", h) {
			b := newBox()
			if err := (MailboxEdit{Aliases: &s}).Apply(&b); err == nil {
				for _, a := range b.Aliases {
					checkPlain(t, a.String())
				}
			}
			b, s = newBox(), strings.Replace(s, "name", "name@b.example", 1)
			if err := (MailboxEdit{Forward: &s}).Apply(&b); err == nil {
				for _, a := range b.Forward {
					checkPlain(t, a.Local.String())
				}
			}
			b = newBox()
			if err := (MailboxEdit{MaxSize: &s}).Apply(&b); err == nil {
				t.Errorf("a size of %q", s)
			}
		}
	}
}

// checkPlain holds a local part against the alphabet of our files.
func checkPlain(t testing.TB, s string) {
	t.Helper()
	if s == "" || strings.Trim(s, "abcdefghijklmnopqrstuvwxyz0123456789._-+=") != "" {
		t.Errorf("taken: %q", s)
	}
}

func TestValuesOfAMailboxMakeTheSameMailbox(t *testing.T) {
	words := func(t *rapid.T, label string, each *rapid.Generator[string]) *string {
		return ptrTo(strings.Join(rapid.SliceOfN(each, 0, 5).Draw(t, label), rapid.SampledFrom([]string{" ", ",", "\n"}).Draw(t, "between")))
	}
	rapid.Check(t, func(t *rapid.T) {
		local := rapid.StringMatching(`[A-Za-z0-9=_]([._=-]?[A-Za-z0-9]){1,6}`)
		e := MailboxEdit{
			MaxSize: ptrTo(fmt.Sprint(rapid.Int64Range(0, 1<<30).Draw(t, "maxsize"))),
			Aliases: words(t, "aliases", local),
			Forward: words(t, "forward", rapid.Map(local, func(s string) string { return s + "@Пример.example" })),
			Note:    ptrTo(rapid.StringN(0, 20, -1).Draw(t, "note")), DontSave: ptrTo(rapid.Bool().Draw(t, "dontsave")),
			Greylist: ptrTo(rapid.Bool().Draw(t, "greylist")), Active: ptrTo(rapid.Bool().Draw(t, "active")),
		}
		b := newBox()
		if e.Apply(&b) != nil {
			t.Skip("refused")
		}
		again := newBox()
		if err := boxEditOf(b.Values()).Apply(&again); err != nil {
			t.Fatalf("%v is refused: %v", b.Values(), err)
		}
		if diff := cmp.Diff(b.Values(), again.Values()); diff != "" {
			t.Error(diff)
		}
	})
}

type hashHolder struct{ P PasswordHash }

// A hash that somebody reads can be guessed at.
func TestHashOfAPasswordIsNeverShown(t *testing.T) {
	const secret = "{ARGON2ID}$argon2id$secret"
	b := newBox()
	b.Password = secret
	var said []string
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%t", "%T", "%20s"} {
		for _, of := range []any{b, &b, b.Password, &b.Password, []Mailbox{b}, map[string]PasswordHash{"x": b.Password}, struct{ P PasswordHash }{secret}} {
			said = append(said, fmt.Sprintf(verb, of))
		}
	}
	for _, of := range []any{b, &b, b.Password, []Mailbox{b}, map[string]PasswordHash{"x": secret}} {
		text, err := json.Marshal(of)
		if err != nil {
			t.Fatal(err)
		}
		said = append(said, string(text))
	}
	text, err := xml.Marshal(hashHolder{secret})
	if err != nil {
		t.Fatal(err)
	}
	said = append(said, string(text), fmt.Sprint(b.Values()), fmt.Errorf("%w %v", &Error{}, b).Error())
	for _, s := range said {
		if strings.Contains(s, "secret") || strings.Contains(s, fmt.Sprintf("%x", "secret")) || strings.Contains(s, fmt.Sprintf("%X", "secret")) {
			t.Errorf("shown: %s", s)
		}
	}
	if string(b.Password) != secret {
		t.Error("who is to store it does not get it")
	}
}
