package module

import (
	"context"
	"maps"
	"strconv"
	"strings"

	"maildomain/module/files"
	"maildomain/module/mail"
	"maildomain/module/store"
)

// A ListedForm is what the form of an entry of a list shows.
type ListedForm struct {
	New    bool
	Listed mail.Listed
	Edit   mail.ListedEdit // what was typed and is not saved
}

// listFunctions are the functions that change each list.
var listFunctions = map[mail.List]string{mail.White: "whitelist", mail.Black: "blacklist"}

// mostListed is how many entries both lists of one domain, or of the server, have together.
const mostListed = 50_000

// Listed is a page of the entries of a list that the actor may see, and how many there
// are in all pages together. Of names a domain where it is not empty.
func (m *Module) Listed(ctx context.Context, by Actor, of string, q mail.ListedQuery) (ls []mail.Listed, total int64, err error) {
	if of != "" {
		d, _, err := m.find(ctx, by, of)
		if err != nil {
			return nil, 0, err
		}
		q.Domain = &d.Name
	}
	if q.Scope, err = m.scope(ctx, by); err != nil {
		return nil, 0, err
	}
	q.Name = strings.ToLower(q.Name)
	err = m.db.View(ctx, func(ctx context.Context, tx *store.Tx) error {
		ls, total, err = tx.ListListed(ctx, q)
		return err
	})
	return ls, total, err
}

// OpenListed is the form of the entry elid, or of a new one where elid is empty.
func (m *Module) OpenListed(ctx context.Context, by Actor, list mail.List, elid string, e mail.ListedEdit) (ListedForm, error) {
	f := ListedForm{New: elid == "", Edit: e, Listed: mail.Listed{List: list}}
	scope, err := m.scope(ctx, by)
	if err != nil || f.New {
		return f, err
	}
	n, s, ok := mail.ParseListedID(elid)
	if !ok {
		return f, missed(elid)
	}
	err = m.db.View(ctx, func(ctx context.Context, tx *store.Tx) error {
		f.Listed, err = listed(ctx, tx, scope, list, n, s, elid)
		return err
	})
	return f, err
}

// listed is an entry that is there and in the scope.
func listed(ctx context.Context, tx *store.Tx, scope mail.Scope, list mail.List, n mail.Name, s mail.Sender, elid string) (mail.Listed, error) {
	if ok, err := mayList(ctx, tx, scope, n); err != nil || !ok {
		return mail.Listed{}, firstOf(err, missed(elid))
	}
	l, found, err := tx.Listed(ctx, n, s)
	if err == nil && (!found || l.List != list) {
		err = missed(elid)
	}
	return l, err
}

// mayList says that the lists of a domain, or with the zero name those of the server,
// are in the scope.
func mayList(ctx context.Context, tx *store.Tx, scope mail.Scope, n mail.Name) (bool, error) {
	if n.IsZero() {
		return scope.All, nil
	}
	d, err := domain(ctx, tx, n)
	return d != nil && scope.Has(d.Owner), err
}

// AddListed adds entries to a list of a domain, or where e names none to that of the
// server, all or none.
func (m *Module) AddListed(ctx context.Context, by Actor, list mail.List, e mail.ListedEdit) (mail.Listed, error) {
	scope, err := m.scope(ctx, by)
	if err != nil {
		return mail.Listed{}, err
	}
	first := mail.Listed{List: list}
	noDomain := &mail.Error{Kind: mail.Invalid, Field: "domainname", Value: e.Domain, Text: "value_listed_domain"}
	if e.Domain != "" {
		if first.Domain, err = mail.ParseName(e.Domain); err != nil {
			return first, noDomain
		}
	}
	senders, err := e.Senders()
	if err != nil {
		return first, err
	}
	if err := e.Apply(&first); err != nil {
		return first, err
	}
	entry := first
	first.Sender = senders[0]
	return first, m.changeListed(ctx, by, list, "edit", first, func(ctx context.Context, tx *store.Tx, before []mail.Listed) ([]mail.Listed, error) {
		if ok, err := mayList(ctx, tx, scope, first.Domain); err != nil || !ok {
			return nil, firstOf(err, noDomain)
		}
		if len(before)+len(senders) > mostListed {
			return nil, &mail.Error{Kind: mail.Invalid, Field: "sender", Text: "value_listed_many", Args: map[string]string{"most": strconv.Itoa(mostListed)}}
		}
		there := map[mail.Sender]bool{}
		for _, l := range before {
			there[l.Sender] = true
		}
		after := before[:len(before):len(before)]
		for _, s := range senders {
			if there[s] {
				return nil, &mail.Error{Kind: mail.Exists, Field: "sender", Value: s.String(), Text: "exists_listed"}
			}
			l := entry
			l.Sender = s
			if err := tx.PutListed(ctx, &l); err != nil {
				return nil, err
			}
			after = append(after, l)
		}
		return after, nil
	})
}

// EditListed changes the entry elid: its note. Whom it names is fixed.
func (m *Module) EditListed(ctx context.Context, by Actor, list mail.List, elid string, e mail.ListedEdit) (mail.Listed, error) {
	scope, err := m.scope(ctx, by)
	if err != nil {
		return mail.Listed{}, err
	}
	n, s, ok := mail.ParseListedID(elid)
	if !ok {
		return mail.Listed{}, missed(elid)
	}
	named := mail.Listed{Domain: n, List: list, Sender: s}
	return named, m.changeListed(ctx, by, list, "edit", named, func(ctx context.Context, tx *store.Tx, before []mail.Listed) ([]mail.Listed, error) {
		l, err := listed(ctx, tx, scope, list, n, s, elid)
		if err != nil {
			return nil, err
		}
		if err := e.Apply(&l); err != nil {
			return nil, err
		}
		after := without(before, s)
		return append(after, l), tx.PutListed(ctx, &l)
	})
}

// DeleteListed removes entries from a list.
func (m *Module) DeleteListed(ctx context.Context, by Actor, list mail.List, elids []string) ([]Outcome, error) {
	scope, err := m.scope(ctx, by)
	if err != nil {
		return nil, err
	}
	return m.all(ctx, by, elids, func(elid string) error {
		n, s, ok := mail.ParseListedID(elid)
		if !ok {
			return missed(elid)
		}
		return m.changeListed(ctx, by, list, "delete", mail.Listed{Domain: n, List: list, Sender: s},
			func(ctx context.Context, tx *store.Tx, before []mail.Listed) ([]mail.Listed, error) {
				if _, err := listed(ctx, tx, scope, list, n, s, elid); err != nil {
					return nil, err
				}
				return without(before, s), tx.DeleteListed(ctx, n, s)
			})
	})
}

func without(ls []mail.Listed, s mail.Sender) []mail.Listed {
	var rest []mail.Listed
	for _, l := range ls {
		if l.Sender != s {
			rest = append(rest, l)
		}
	}
	return rest
}

// changeListed is change for the lists of a domain or of the server. Decide gets all
// entries of both and returns them as they are to be. What is noted of the change are
// the entries that differ, by their names, each with its list and note.
func (m *Module) changeListed(ctx context.Context, by Actor, list mail.List, what string, about mail.Listed,
	decide func(ctx context.Context, tx *store.Tx, before []mail.Listed) (after []mail.Listed, err error)) error {
	return m.change(ctx, by, listFunctions[list]+"."+what, string(list)+" "+about.ID(), func(ctx context.Context, tx *store.Tx) (*deed, error) {
		before, err := tx.ListedOf(ctx, about.Domain)
		if err != nil {
			return nil, err
		}
		after, err := decide(ctx, tx, before)
		if err != nil {
			return nil, err
		}
		d := &deed{before: entries(before), after: entries(after)}
		maps.DeleteFunc(d.before, func(s, v string) bool {
			if d.after[s] != v {
				return false
			}
			delete(d.after, s)
			return true
		})
		if len(d.before)+len(d.after) == 0 {
			return nil, nil
		}
		l := m.tree.Layout()
		is, was := l.ListFile(about.Domain, after), l.ListFile(about.Domain, before)
		d.plan = []files.Change{{File: is, Was: was.Body}}
		return d, nil
	})
}

// entries are entries of lists as the audit table has them.
func entries(ls []mail.Listed) map[string]string {
	values := map[string]string{}
	for _, l := range ls {
		values[l.Sender.String()] = strings.TrimSpace(string(l.List) + " " + l.Note)
	}
	return values
}
