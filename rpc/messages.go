package rpc

import (
	"crypto/sha256"
	"encoding/hex"
	stdxml "encoding/xml"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"strings"
	"sync"

	"maildomain/module/mail"
	"maildomain/rpc/wire"
	"maildomain/xml"
)

// A catalogue is the texts of one language: by the name of the messages element,
// then by the name of the message.
type catalogue map[string]map[string]string

// catalogues are the texts of all languages, read once from the embedded files.
var catalogues = sync.OnceValue(func() map[string]catalogue {
	all := map[string]catalogue{}
	each(func(name string, text []byte) {
		var doc struct {
			Langs []struct {
				Name     string `xml:"name,attr"`
				Messages []struct {
					Name string `xml:"name,attr"`
					Msgs []struct {
						Name string `xml:"name,attr"`
						Text string `xml:",chardata"`
					} `xml:"msg"`
				} `xml:"messages"`
			} `xml:"lang"`
		}
		if err := stdxml.Unmarshal(text, &doc); err != nil {
			panic(fmt.Sprintf("read embedded %s: %v", name, err))
		}
		for _, l := range doc.Langs {
			c := catalogue{}
			all[l.Name] = c
			for _, ms := range l.Messages {
				c[ms.Name] = map[string]string{}
				for _, m := range ms.Msgs {
					c[ms.Name][m.Name] = m.Text
				}
			}
		}
	})
	return all
})

// each calls f for every embedded file, in the order of their names.
func each(f func(name string, text []byte)) {
	names, err := fs.Glob(xml.Files, "*.xml")
	if err != nil {
		panic(err) // the pattern is good
	}
	for _, n := range names {
		text, err := fs.ReadFile(xml.Files, n)
		if err != nil {
			panic(fmt.Sprintf("read embedded %s: %v", path.Base(n), err))
		}
		f(n, text)
	}
}

// message is a text in a language, or in English where the language is not known.
func message(lang, messages, name string) (string, bool) {
	c, ok := catalogues()[lang]
	if !ok {
		c = catalogues()["en"]
	}
	text, ok := c[messages][name]
	return text, ok
}

// sentence is an error in a language, its placeholders filled.
func sentence(lang string, e *mail.Error, value string) string {
	text, ok := message(lang, "msgerror", "msg_error_"+e.Text)
	if !ok {
		text, ok = message(lang, "msgerror", "msg_error_"+string(e.Kind))
	}
	if !ok {
		text = string(e.Kind)
	}
	fill := []string{"__value__", value, "__object__", e.Field}
	for k, v := range e.Args {
		if strings.HasPrefix(k, "why_") { // a sentence within the sentence
			within := *e
			within.Text, within.Args = v, maps.Clone(e.Args)
			maps.DeleteFunc(within.Args, func(k, _ string) bool { return strings.HasPrefix(k, "why_") })
			v = sentence(lang, &within, value)
		}
		fill = append(fill, "__"+k+"__", v)
	}
	return strings.NewReplacer(fill...).Replace(text)
}

// Registration is what the module tells the core about itself.
func Registration(version string) wire.Register {
	var b strings.Builder
	b.WriteString("<mgrdata>\n")
	each(func(name string, text []byte) {
		var doc struct {
			Inner string `xml:",innerxml"`
		}
		if err := stdxml.Unmarshal(text, &doc); err != nil {
			panic(fmt.Sprintf("read embedded %s: %v", name, err))
		}
		b.WriteString(strings.Trim(doc.Inner, "\n"))
		b.WriteByte('\n')
	})
	b.WriteString("</mgrdata>\n")
	r := wire.Register{
		Protocol: wire.Protocol, Module: "maildomain", Version: version,
		Functions: Functions(), Metadata: b.String(),
	}
	h := sha256.New()
	fmt.Fprintf(h, "%v\n%s", r.Functions, r.Metadata)
	r.Digest = hex.EncodeToString(h.Sum(nil))
	return r
}
