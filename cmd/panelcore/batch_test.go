package main

import (
	"strings"
	"testing"
)

// Only calls that cannot build upon one another leave the order of the file.
func TestCallsAreSortedWhereOneObjectIsNotAnothers(t *testing.T) {
	for file, want := range map[string]string{
		"edit name=c|edit name=a|edit name=b":    "2 3 1",
		"edit elid=c name=a|edit elid=B name=c":  "2 1",
		"edit name=c|edit name=a|edit name=C":    "1 2 3", // the same again
		"edit name=c|edit name=a|delete elid=b":  "1 2 3",
		"edit name=c|edit name=a|edit owner=ann": "1 2 3",
		"delete elid=c|delete elid=b,a":          "1 2",
		"":                                       "",
	} {
		c := &ctlCmd{Out: "text", Jobs: 1}
		var calls []*batchCall
		for i, l := range strings.FieldsFunc(file, func(r rune) bool { return r == '|' }) {
			words := strings.Fields(l)
			b, err := c.call(i+1, words[0], words[1:])
			if err != nil {
				t.Fatal(err)
			}
			calls = append(calls, b)
		}
		var got []string
		for _, b := range byObject(calls) {
			got = append(got, string(rune('0'+b.line)))
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%q: sent in the order %q, want %q", file, got, want)
		}
	}
}
