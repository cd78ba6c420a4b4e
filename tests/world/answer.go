package world

import (
	"encoding/json"
	"fmt"
	"strconv"
)

// An Answer of /ispmgr.
type Answer struct {
	Error string // type(object); empty for success
	Msg   string // its sentence
	Value string // the offending value

	OK    bool
	Auth  string              // the session that was opened
	Elems []map[string]string // rows of a list, or of a group operation
	Total int                 // p_elems
	Text  map[string]string   // everything else with a text: values of a form
	Raw   string
}

type node = map[string]any

func parse(b []byte) (Answer, error) {
	a := Answer{Raw: string(b), Text: map[string]string{}}
	var top struct {
		Doc node `json:"doc"`
	}
	if err := json.Unmarshal(b, &top); err != nil {
		return a, fmt.Errorf("read the answer %.200q: %w", b, err)
	}
	for key, v := range top.Doc {
		switch {
		case key == "error":
			e, _ := v.(node)
			a.Error = fmt.Sprintf("%v(%v)", e["$type"], e["$object"])
			a.Msg = text(e["msg"])
			params, _ := e["param"].([]any)
			for _, p := range params {
				if n, ok := p.(node); ok && n["$name"] == "value" {
					a.Value = text(n)
				}
			}
		case key == "ok":
			a.OK = true
		case key == "auth":
			n, _ := v.(node)
			a.Auth, _ = n["$id"].(string)
		case key == "elem":
			rows, _ := v.([]any)
			for _, r := range rows {
				row := map[string]string{}
				n, _ := r.(node)
				for k, v := range n {
					row[k] = text(v)
				}
				a.Elems = append(a.Elems, row)
			}
		default:
			a.Text[key] = text(v)
		}
	}
	if n, err := strconv.Atoi(a.Text["p_elems"]); err == nil {
		a.Total = n
	}
	return a, nil
}

// text is the text of an element: {"$": "text"}, or the first of several.
func text(v any) string {
	switch v := v.(type) {
	case string:
		return v
	case node:
		s, _ := v["$"].(string)
		return s
	case []any:
		if len(v) > 0 {
			return text(v[0])
		}
	}
	return ""
}
