package module

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"

	"maildomain/module/mail"
	"maildomain/module/store"
)

// record notes the change in the audit table and keeps its answer.
func record(ctx context.Context, tx *store.Tx, by Actor, function, object string, d *deed) error {
	was, err := written(object, d.before)
	if err != nil {
		return err
	}
	is, err := written(object, d.after)
	if err != nil {
		return err
	}
	if err := tx.Audit(ctx, store.Change{
		RequestID: by.RequestID, User: by.User, SuBy: by.SuBy, RemoteIP: by.RemoteIP,
		Func: function, Object: object, Before: was, After: is,
	}); err != nil {
		return err
	}
	if by.RequestID == "" {
		return nil
	}
	return tx.Answer(ctx, store.Answer{RequestID: by.RequestID, Object: cmp.Or(by.about, object), User: by.User, Func: function, JSON: []byte(`{"ok":true}`)})
}

// written is an object as the audit table has it.
func written(object string, values map[string]string) ([]byte, error) {
	if values == nil {
		return nil, nil
	}
	b, err := json.Marshal(values)
	if err != nil {
		return nil, fmt.Errorf("write down %s: %w", object, err)
	}
	return b, nil
}

// repeated says that this request has changed this object already. The same id
// from another user, or for another function, is no repeat but a fault of the caller.
func repeated(ctx context.Context, tx *store.Tx, by Actor, function, object string) (bool, error) {
	if by.RequestID == "" {
		return false, nil
	}
	a, found, err := tx.Answered(ctx, by.RequestID, object)
	if err != nil || !found {
		return false, err
	}
	if a.User != by.User || a.Func != function {
		return false, &mail.Error{Kind: mail.Invalid, Field: "request_id", Value: by.RequestID}
	}
	return true, nil
}
