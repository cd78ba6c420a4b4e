package core

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"sync"
)

// Parameters that the core itself looks at too.
const (
	paramServerIPs   = "server_ips"  // the addresses that users can be given
	paramNameservers = "nameservers" // of zones
)

// ownParams are the core's own: modules are not sent them.
var ownParams = []string{paramUpdateServer, paramUpdateKey, paramUpdateSecret, paramUpdateAlgorithm}

// defaultParams are the server's parameters and their first values. What they
// mean only the modules know; whether one is a word or a list is said here.
//
//go:embed params.json
var defaultParams []byte

// A param is one setting of the server: a text or a list of words.
type param struct {
	text   string
	list   []string
	isList bool
}

func (p param) MarshalJSON() ([]byte, error) {
	if p.isList {
		return json.Marshal(append([]string{}, p.list...)) // never null
	}
	return json.Marshal(p.text)
}

func (p *param) UnmarshalJSON(b []byte) error {
	if len(b) > 0 && b[0] == '[' {
		p.isList = true
		return json.Unmarshal(b, &p.list)
	}
	return json.Unmarshal(b, &p.text)
}

// String returns the parameter as a form shows it: a list separated by blanks.
func (p param) String() string {
	if p.isList {
		return strings.Join(p.list, " ")
	}
	return p.text
}

// set returns p with the value that a form sent.
func (p param) set(value string) param {
	if p.isList {
		return param{isList: true, list: words(value)}
	}
	return param{text: value}
}

// words splits a list of a form: blanks, commas and line breaks separate.
func words(s string) []string {
	return strings.FieldsFunc(s, func(r rune) bool { return r == ',' || r == ' ' || r == '\n' || r == '\r' || r == '\t' })
}

// checkParam says whether the core can live with the value.
func checkParam(name, value string, p param) error {
	for _, w := range p.list {
		switch name {
		case paramServerIPs:
			if _, err := netip.ParseAddr(w); err != nil {
				return badValue(name, value, "request")
			}
		case paramNameservers:
			if _, ok := parseName(w, false); !ok {
				return badValue(name, w, "zone_host")
			}
		}
	}
	return nil
}

func firstParams() (map[string]param, error) {
	var ps map[string]param
	if err := json.Unmarshal(defaultParams, &ps); err != nil {
		return nil, fmt.Errorf("read built-in parameters: %w", err)
	}
	return ps, nil
}

// A paramTable is all parameters in memory.
type paramTable struct {
	mu     sync.RWMutex
	values map[string]param
}

func newParamTable(values map[string]param) *paramTable { return &paramTable{values: values} }

// all returns the parameters as they now are.
func (t *paramTable) all() map[string]param {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return maps.Clone(t.values)
}

// forModules returns what core.params answers.
func (t *paramTable) forModules() map[string]param {
	ps := t.all()
	for _, name := range ownParams {
		delete(ps, name)
	}
	return ps
}

// put changes some parameters.
func (t *paramTable) put(changed map[string]param) {
	t.mu.Lock()
	defer t.mu.Unlock()
	maps.Copy(t.values, changed)
}

// serverIPs returns the addresses of the server.
func (t *paramTable) serverIPs() []string {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return slices.Clone(t.values[paramServerIPs].list)
}
