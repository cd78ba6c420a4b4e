package tree_test

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"maildomain/cmd/panelcore/tree"
)

func TestOneTreeInFourForms(t *testing.T) {
	list := tree.Elem("doc", "lang", "en", "func", "thing").Always("elem").Add(
		tree.Elem("elem").Add(tree.Value("name", "a b"), tree.Value("on", "")),
		tree.Value("p_elems", "1"),
	)
	form := tree.Elem("doc", "lang", "en").Add(
		tree.Value("name", "x"),
		tree.Value("secret_field", "y"),
		tree.Value("page", "not an array: a value"),
		tree.Elem("slist", "name", "owner").Add(tree.Elem("val", "key", "u").Set("User")),
		tree.Elem("hide", "name", "secret_field"),
	)
	fault := tree.Elem("doc").Add(tree.Elem("error", "type", "value", "object", "name").Add(
		tree.Elem("param", "name", "object", "type", "msg").Set("name"),
		tree.Value("detail", "two\nlines"), tree.Value("msg", "two\nlines")))
	group := tree.Elem("doc").Add(tree.Elem("ok"), tree.Elem("list", "name", "done").Add(
		tree.Elem("elem").Add(tree.Value("elid", "a"), tree.Value("ok", "on")),
		tree.Elem("elem").Add(tree.Value("elid", "b"), tree.Elem("error", "type", "missed", "object", "elid").Add(tree.Value("msg", "gone"))),
	))
	redirect := tree.Elem("doc").Add(tree.Elem("ok", "type", "list").Set("func=thing"),
		tree.Elem("list", "name", "records").Add(tree.Elem("elem").Add(tree.Value("k", "v"), tree.Value("l", `"q"`))))
	for _, c := range []struct {
		name                    string
		n                       *tree.Node
		xml, json, simple, text string
	}{
		{"list", list,
			`<doc lang="en" func="thing"><elem><name>a b</name><on/></elem><p_elems>1</p_elems></doc>`,
			`{"doc":{"$lang":"en","$func":"thing","elem":[{"name":{"$":"a b"},"on":{}}],"p_elems":{"$":"1"}}}`,
			`{"doc":{"$lang":"en","$func":"thing","elem":[{"name":"a b","on":""}],"p_elems":"1"}}`,
			`name="a b" on=` + "\n"},
		{"empty list", tree.Elem("doc").Always("elem").Add(tree.Value("p_elems", "0")),
			`<doc><p_elems>0</p_elems></doc>`,
			`{"doc":{"p_elems":{"$":"0"},"elem":[]}}`,
			`{"doc":{"p_elems":"0","elem":[]}}`,
			``},
		{"form", form,
			`<doc lang="en"><name>x</name><secret_field>y</secret_field><page>not an array: a value</page><slist name="owner"><val key="u">User</val></slist><hide name="secret_field"/></doc>`,
			`{"doc":{"$lang":"en","name":{"$":"x"},"secret_field":{"$":"y"},"page":{"$":"not an array: a value"},"slist":[{"$name":"owner","val":[{"$key":"u","$":"User"}]}],"hide":[{"$name":"secret_field"}]}}`,
			`{"doc":{"$lang":"en","name":"x","secret_field":"y","page":"not an array: a value","slist":[{"$name":"owner","val":[{"$key":"u","$":"User"}]}],"hide":[{"$name":"secret_field"}]}}`,
			"name=x\npage=\"not an array: a value\"\n"},
		{"error", fault,
			`<doc><error type="value" object="name"><param name="object" type="msg">name</param><detail>two` + "\n" + `lines</detail><msg>two` + "\n" + `lines</msg></error></doc>`,
			`{"doc":{"error":{"$type":"value","$object":"name","param":[{"$name":"object","$type":"msg","$":"name"}],"detail":{"$":"two\nlines"},"msg":{"$":"two\nlines"}}}}`,
			`{"doc":{"error":{"$type":"value","$object":"name","param":[{"$name":"object","$type":"msg","$":"name"}],"detail":"two\nlines","msg":"two\nlines"}}}`,
			"ERROR value(name): two lines\n"},
		{"group with one failure", group,
			`<doc><ok/><list name="done"><elem><elid>a</elid><ok>on</ok></elem><elem><elid>b</elid><error type="missed" object="elid"><msg>gone</msg></error></elem></list></doc>`,
			`{"doc":{"ok":{},"list":[{"$name":"done","elem":[{"elid":{"$":"a"},"ok":{"$":"on"}},{"elid":{"$":"b"},"error":{"$type":"missed","$object":"elid","msg":{"$":"gone"}}}]}]}}`,
			`{"doc":{"ok":{},"list":[{"$name":"done","elem":[{"elid":"a","ok":"on"},{"elid":"b","error":{"$type":"missed","$object":"elid","msg":"gone"}}]}]}}`,
			"ERROR missed(elid): b: gone\n"},
		{"ok with redirect and rows", redirect,
			`<doc><ok type="list">func=thing</ok><list name="records"><elem><k>v</k><l>"q"</l></elem></list></doc>`,
			`{"doc":{"ok":{"$type":"list","$":"func=thing"},"list":[{"$name":"records","elem":[{"k":{"$":"v"},"l":{"$":"\"q\""}}]}]}}`,
			`{"doc":{"ok":{"$type":"list","$":"func=thing"},"list":[{"$name":"records","elem":[{"k":"v","l":"\"q\""}]}]}}`,
			"OK\nk=v l=\"\\\"q\\\"\"\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := string(tree.AppendXML(nil, c.n))
			if d := cmp.Diff(`<?xml version="1.0" encoding="UTF-8"?>`+"\n"+c.xml+"\n", got); d != "" {
				t.Error("xml", d)
			}
			if d := cmp.Diff(c.json+"\n", string(tree.AppendJSON(nil, c.n))); d != "" {
				t.Error("json", d)
			}
			if d := cmp.Diff(c.simple+"\n", string(tree.AppendSimpleJSON(nil, c.n))); d != "" {
				t.Error("sjson", d)
			}
			if d := cmp.Diff(c.text, string(tree.AppendText(nil, c.n))); d != "" {
				t.Error("text", d)
			}
		})
	}
}

// FuzzAnyValueStaysWellFormed: whatever a value holds, every form can be read
// back, and XML and JSON give the same value but for what XML cannot hold.
func FuzzAnyValueStaysWellFormed(f *testing.F) {
	for _, s := range []string{"", "a", "a\x00b\r\n\t", "\xff\xfe", "]]>", "<&\">'", "\u2028\u0085\ufffe", "𝔘", `\`, " lead"} {
		f.Add(s, s)
	}
	f.Fuzz(func(t *testing.T, name, value string) {
		n := tree.Elem("doc", "a", value).Add(tree.Elem("elem").Add(tree.Value(name, value)))
		var x struct {
			A    string `xml:"a,attr"`
			Elem struct {
				Any struct {
					Text string `xml:",chardata"`
				} `xml:",any"`
			} `xml:"elem"`
		}
		d := xml.NewDecoder(bytes.NewReader(tree.AppendXML(nil, n)))
		if err := d.Decode(&x); err != nil {
			t.Fatal(err)
		}
		if _, err := d.Token(); !errors.Is(err, io.EOF) {
			if _, err = d.Token(); !errors.Is(err, io.EOF) {
				t.Fatalf("after the document: %v", err)
			}
		}
		var j struct {
			Doc struct {
				Elem []map[string]struct {
					Text string `json:"$"`
				}
			}
		}
		if err := json.Unmarshal(tree.AppendJSON(nil, n), &j); err != nil {
			t.Fatal(err)
		}
		want := strings.Map(func(r rune) rune {
			if r < 0x20 && r != '\n' && r != '\t' && r != '\r' || r == 0xfffe || r == 0xffff {
				return 0xfffd
			}
			return r
		}, strings.ToValidUTF8(j.Doc.Elem[0][n.Children[0].Children[0].Name].Text, "\uFFFD"))
		if x.Elem.Any.Text != want || value != "" && x.A != want {
			t.Errorf("xml %q and %q, json %q", x.Elem.Any.Text, x.A, want)
		}
		rows := string(tree.AppendText(nil, tree.Elem("doc").Add(n.Children[0], tree.Value("p_elems", "1"))))
		if strings.Count(rows, "\n") != 1 || strings.ContainsAny(rows, "\r\u2028\u2029\u0085") {
			t.Errorf("row is not one line: %q", rows)
		}
	})
}

func TestParseReadsWhatAppendXMLWrites(t *testing.T) {
	const doc = `<a x="1"><b>text &amp; more</b><c/><!-- gone --><c y="&#10;"/></a>`
	n, err := tree.Parse(strings.NewReader(doc))
	if err != nil {
		t.Fatal(err)
	}
	again, err := tree.Parse(bytes.NewReader(tree.AppendXML(nil, n)))
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(string(tree.AppendXML(nil, n)), string(tree.AppendXML(nil, again))); d != "" {
		t.Error(d)
	}
	if got := n.Children[0].Text; got != "text & more" {
		t.Errorf("text %q", got)
	}
}

func TestParseRefuses(t *testing.T) {
	for _, s := range []string{
		"", "<a>", "<a/><b/>", `<!DOCTYPE a [<!ENTITY b "c">]><a/>`, "<a>&nosuch;</a>",
		strings.Repeat("<a>", 50) + strings.Repeat("</a>", 50),
		`<a x="1" x="2"/>`,
	} {
		if _, err := tree.Parse(strings.NewReader(s)); err == nil {
			t.Errorf("%.40q: accepted", s)
		}
	}
}
