package main

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"maildomain/module/files"
)

// The module of "make run" looks for its certificates where "make mail" shows them.
func TestRunAsksWhereMailListens(t *testing.T) {
	script, err := os.ReadFile("../run-demo.sh")
	if err != nil {
		t.Fatal(err)
	}
	at := map[string][2]string{} // variable and default, by service
	for _, m := range regexp.MustCompile(`(\w+)=\$\{(\w+):-([^}]+)\}`).FindAllStringSubmatch(string(script), -1) {
		at[m[1]] = [2]string{m[2], m[3]}
	}
	var text []string
	for _, l := range new(demo).listeners() {
		if l.name == "managesieve" { // shows the same as IMAP, by a protocol of its own
			continue
		}
		if at[l.name] != [2]string{l.variable, l.byDefault} {
			t.Errorf("%s: asked at %v, listens at %s, by default %s", l.name, at[l.name], l.variable, l.byDefault)
		}
		text = append(text, l.name+"="+l.byDefault)
	}
	if ss, err := files.ParseServers(strings.Join(text, " ")); err != nil || len(ss) != len(files.StandardServers()) || len(at) != len(ss) {
		t.Errorf("%v, %v", ss, err)
	}
}
