package module

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"maildomain/module/mail"
	"maildomain/module/store"
)

// lastParams are the server's settings: the panel's, or as it gave them last where it
// is not there.
func (m *Module) lastParams(ctx context.Context) (p mail.Params, set mail.Settings, away bool, err error) {
	p, set, err = m.params(ctx)
	if err == nil {
		return p, set, m.alone, nil
	}
	kept, known, fault := m.keptParams(ctx)
	if fault != nil || !known {
		return p, set, true, errors.Join(err, fault)
	}
	set, err = m.Settings(ctx)
	return ownParams(kept, set), set, true, err
}

// panelParams is the setting that holds the panel's settings as they were last.
const panelParams = "panel_params"

func (m *Module) keptParams(ctx context.Context) (p mail.Params, known bool, err error) {
	var text string
	err = m.db.View(ctx, func(ctx context.Context, tx *store.Tx) error {
		set, err := tx.Settings(ctx)
		text = set[panelParams]
		return err
	})
	if err != nil || text == "" {
		return p, false, err
	}
	if err := json.Unmarshal([]byte(text), &p); err != nil {
		return p, false, fmt.Errorf("read the panel's settings as they were last: %w", err)
	}
	return p, true, nil
}

// keepParams keeps the panel's settings for when it is not there.
func (m *Module) keepParams(ctx context.Context) error {
	p, err := m.panel.Params(ctx)
	if err != nil {
		return err
	}
	text, err := json.Marshal(p)
	if err != nil {
		return err
	}
	known := false
	err = m.db.View(ctx, func(ctx context.Context, tx *store.Tx) error {
		set, err := tx.Settings(ctx)
		known = set[panelParams] == string(text)
		return err
	})
	if err != nil || known {
		return err
	}
	err = m.db.Update(ctx, func(ctx context.Context, tx *store.Tx) error {
		tx.Aside()
		return tx.Set(ctx, panelParams, string(text))
	})
	if err != nil {
		return fmt.Errorf("keep the panel's settings: %w", err)
	}
	return nil
}
