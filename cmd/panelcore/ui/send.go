package ui

import (
	"errors"
	"maps"
	"net/http"
	"slices"

	"maildomain/cmd/panelcore/core"
	"maildomain/rpc/wire"
)

// send does what a form that was sent asks for: to be computed anew after a
// choice (sv_field), to show what saving would change, or to be saved.
func (v *visit) send(f *core.Function) {
	typed := maps.Clone(v.params)
	field := typed["sv_field"]
	for _, ours := range []string{"sok", "sv_field", "dry_run"} {
		delete(typed, ours)
	}
	if field != "" {
		v.recompute(f, typed, field)
		return
	}
	p, err := v.typedForm(f, typed)
	if err != nil {
		v.failure(err)
		return
	}
	if p.incomplete(typed) {
		p.keepPasswords("")
		v.showForm(p, http.StatusUnprocessableEntity)
		return
	}
	params := p.toSave(typed)
	params["sok"] = "ok"
	preview := v.own["_preview"] != "" && p.hasPreview()
	var a *core.Answer
	if preview {
		params["dry_run"] = "on"
		a, err = v.call(f.Name, params)
	} else {
		a, err = v.change(f.Name, params)
	}
	if e, ok := errors.AsType[*core.Error](err); ok && e.Type != "auth" {
		p.keepPasswords(e.Object)
		p.blame(e.Object, v.sentence(err))
		v.showForm(p, http.StatusUnprocessableEntity)
		return
	}
	switch {
	case err != nil:
		v.failure(err)
	case a.Kind == wire.KindReport && preview:
		p.keepPasswords("")
		p.Report = v.preview(f, a)
		v.showForm(p, http.StatusOK)
	default:
		v.page(f.Name, a)
	}
}

// recompute shows the form as its function makes it of what was typed so far.
func (v *visit) recompute(f *core.Function, typed map[string]string, field string) {
	params := maps.Clone(typed)
	params["sv_field"] = field
	a, err := v.call(f.Name, params)
	if err != nil {
		p, formErr := v.typedForm(f, typed)
		if formErr != nil {
			v.failure(err)
			return
		}
		p.keepPasswords("")
		if e, ok := errors.AsType[*core.Error](err); ok {
			p.blame(e.Object, v.sentence(err))
		}
		v.showForm(p, http.StatusUnprocessableEntity)
		return
	}
	values := maps.Clone(typed)
	maps.Copy(values, a.Values)
	a.Values = values
	p := v.newForm(f, a)
	p.keepPasswords("")
	v.showForm(p, http.StatusOK)
}

// typedForm is the form with what was typed in it.
func (v *visit) typedForm(f *core.Function, typed map[string]string) (*formPage, error) {
	a, err := v.call(f.Name, typed)
	if err != nil || a.Kind != wire.KindForm {
		// What was typed may be no value at all; the form is there still.
		if a, err = v.call(f.Name, map[string]string{"elid": typed["elid"], "plid": typed["plid"]}); err != nil {
			return nil, err
		}
	}
	if a.Kind != wire.KindForm {
		return nil, errors.New("form answered with " + a.Kind)
	}
	values := maps.Clone(a.Values)
	if values == nil {
		values = map[string]string{}
	}
	maps.Copy(values, typed)
	a.Values = values
	return v.newForm(f, a), nil
}

// toSave is what was typed without what somebody who changes an object leaves as
// it is: passwords that stay empty.
func (p *formPage) toSave(typed map[string]string) map[string]string {
	params := maps.Clone(typed)
	if p.New {
		return params
	}
	p.fields(func(_ *section, f *field) bool {
		if f.Secret && params[f.Name] == "" {
			delete(params, f.Name)
		}
		return true
	})
	return params
}

// keepPasswords lets the browser keep what was typed into password fields, but in
// the one that is wrong.
func (p *formPage) keepPasswords(wrong string) {
	p.fields(func(_ *section, f *field) bool {
		f.Keep = f.Secret && f.Name != wrong
		return true
	})
}

func (p *formPage) hasPreview() bool {
	return slices.ContainsFunc(p.Buttons, func(b formButton) bool { return b.Type == "preview" })
}

func (v *visit) showForm(p *formPage, code int) {
	title := p.Title
	if p.Object != "" {
		title += ": " + p.Object
	}
	v.render(code, title, p)
}
