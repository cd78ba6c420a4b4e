package module

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	"maildomain/module/mail"
	"maildomain/module/store"
)

// A Past is one change of a mail domain that was made.
type Past struct {
	ID                   int64
	At                   time.Time
	RequestID            string
	User, SuBy, RemoteIP string
	Func                 string
	Settings             []Setting // that differed
	Made, Gone           bool      // the domain came into being, or went
	before               map[string]string
}

// A HistoryQuery asks for a page of the history of one mail domain.
type HistoryQuery struct {
	Elid          string
	Limit, Offset int
}

// DomainHistory is a page of what was done to a mail domain, newest first, and how
// many changes there are in all pages together.
func (m *Module) DomainHistory(ctx context.Context, by Actor, q HistoryQuery) ([]Past, int64, error) {
	past, err := m.history(ctx, by, q.Elid)
	total := len(past)
	return past[min(q.Offset, total):min(q.Offset+q.Limit, total)], int64(total), err
}

// mostHistory is how many changes are shown of one domain.
const mostHistory = 1000

// history is what was done to the mail domain elid, newest first. Of a name that
// belonged to others before, each actor sees only what lies in its own circle; a
// domain that is gone keeps its history.
func (m *Module) history(ctx context.Context, by Actor, elid string) ([]Past, error) {
	scope, err := m.scope(ctx, by)
	if err != nil {
		return nil, err
	}
	n, err := mail.ParseName(elid)
	if err != nil {
		return nil, missed(elid)
	}
	var past []Past
	err = m.db.View(ctx, func(ctx context.Context, tx *store.Tx) error {
		d, err := domain(ctx, tx, n)
		if err != nil {
			return err
		}
		if d != nil && !scope.Has(d.Owner) {
			return missed(elid)
		}
		past, err = visible(ctx, tx, by, scope, n)
		return err
	})
	if err == nil && len(past) == 0 {
		err = missed(elid)
	}
	return past, err
}

// visible are the changes of a domain while it belonged to the scope.
func visible(ctx context.Context, tx *store.Tx, by Actor, scope mail.Scope, n mail.Name) (past []Past, err error) {
	err = tx.History(ctx, n.String(), mostHistory, func(at time.Time, c store.Change) error {
		var before, after map[string]string
		for _, side := range []struct {
			json []byte
			into *map[string]string
		}{{c.Before, &before}, {c.After, &after}} {
			if len(side.json) == 0 {
				continue
			}
			if err := json.Unmarshal(side.json, side.into); err != nil {
				return fmt.Errorf("read change %d of %s: %w", c.ID, n, err)
			}
		}
		for _, owner := range []string{before["owner"], after["owner"]} {
			if owner != "" && !scope.Has(owner) {
				return nil
			}
		}
		if by.Level == mail.LevelUser && (c.User != by.User || c.SuBy != "") {
			c.RemoteIP = "" // where an administrator sits is no tenant's business
		}
		past = append(past, Past{
			ID: c.ID, At: at, RequestID: c.RequestID, User: c.User, SuBy: c.SuBy, RemoteIP: c.RemoteIP, Func: c.Func,
			Settings: differences(before, after), Made: before == nil, Gone: after == nil, before: before,
		})
		return nil
	})
	return past, err
}

// Undo brings the settings of the mail domain elid back to what they were before
// one change of its history; a domain that the change deleted is made again. It is
// itself a change, held to all that holds for one.
func (m *Module) Undo(ctx context.Context, by Actor, elid, change string) (mail.Name, error) {
	past, err := m.history(ctx, by, elid)
	if err != nil {
		return mail.Name{}, err
	}
	wrong := func(text string) (mail.Name, error) {
		return mail.Name{}, &mail.Error{Kind: mail.Invalid, Field: "change", Value: change, Text: text}
	}
	id, err := strconv.ParseInt(change, 10, 64)
	if err != nil {
		return wrong("value_change")
	}
	for _, p := range past {
		switch {
		case p.ID != id:
			continue
		case p.Made:
			return wrong("value_change_made")
		case p.Gone && p.before["name"] == "": // mail that was removed for good
			return wrong("value_change")
		case p.Gone:
			return m.bringBack(ctx, by, p)
		}
		if p.before["name"] == "" { // of keys
			return wrong("value_change")
		}
		return m.EditDomain(ctx, by, elid, mail.EditOf(p.before))
	}
	return wrong("value_change")
}

// bringBack undoes the deletion of a domain: with its mailboxes and mail while they are
// in the trash, else with its settings alone.
func (m *Module) bringBack(ctx context.Context, by Actor, p Past) (mail.Name, error) {
	scope, err := m.scope(ctx, by)
	if err != nil {
		return mail.Name{}, err
	}
	n, err := mail.ParseName(p.before["name"])
	if err != nil {
		return n, fmt.Errorf("read change %d: %w", p.ID, err)
	}
	by.about = fmt.Sprintf("change %d", p.ID)
	var again bool
	var id int64
	err = m.db.View(ctx, func(ctx context.Context, tx *store.Tx) error {
		if by.Preview == nil {
			if again, err = repeated(ctx, tx, by, restoring, by.about); again || err != nil {
				return err
			}
		}
		id, err = tx.DomainDeletedAt(ctx, n, p.At)
		return err
	})
	switch {
	case again || err != nil:
		return n, err
	case id == 0:
		by.about = ""
		return m.AddDomain(ctx, by, mail.EditOf(p.before))
	}
	return n, m.restore(ctx, by, scope, strconv.FormatInt(id, 10))
}
