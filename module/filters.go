package module

import (
	"context"
	"fmt"
	"strconv"

	"maildomain/module/files"
	"maildomain/module/mail"
	"maildomain/module/store"
)

// Names of the settings that keep where filters were found. No form shows them.
const (
	foundPostgrey = "found_postgrey"
	foundSpamd    = "found_spamd"
	foundClamd    = "found_clamd"
	foundStream   = "found_clamd_stream"
)

// Filters are the filters that letters can be put through.
func (m *Module) Filters(ctx context.Context) (mail.Filters, error) {
	var f mail.Filters
	err := m.db.View(ctx, func(ctx context.Context, tx *store.Tx) error {
		s, err := settings(ctx, tx)
		if err != nil {
			return err
		}
		f, err = filters(ctx, tx, s.Filters)
		return err
	})
	return f, err
}

// filters are those that are used by such settings.
func filters(ctx context.Context, tx *store.Tx, s mail.FilterSettings) (mail.Filters, error) {
	kept, err := tx.Settings(ctx)
	if err != nil {
		return mail.Filters{}, err
	}
	return s.Filters(found(kept)), nil
}

func found(kept map[string]string) mail.FoundFilters {
	addr := func(name string) mail.FilterAddr {
		a, _ := mail.ParseFilterAddr(kept[name]) // none is kept as nothing
		return a
	}
	stream, err := strconv.ParseInt(kept[foundStream], 10, 64)
	if err != nil {
		stream = mail.DefaultClamdStream // nobody has looked yet
	}
	return mail.FoundFilters{Postgrey: addr(foundPostgrey), Spamd: addr(foundSpamd), Clamd: addr(foundClamd), ClamdStream: stream}
}

// LookForFilters notes which filters are installed and where they listen. The files
// follow with the next Reconcile where that has changed.
func (m *Module) LookForFilters(ctx context.Context) error {
	now, err := m.tree.FindFilters()
	if err != nil {
		return err
	}
	var known mail.FoundFilters
	err = m.db.View(ctx, func(ctx context.Context, tx *store.Tx) error {
		kept, err := tx.Settings(ctx)
		known = found(kept)
		return err
	})
	if err != nil || known == now {
		return err
	}
	err = m.db.Update(ctx, func(ctx context.Context, tx *store.Tx) error {
		tx.Aside()
		for name, value := range map[string]string{
			foundPostgrey: now.Postgrey.String(), foundSpamd: now.Spamd.String(),
			foundClamd: now.Clamd.String(), foundStream: strconv.FormatInt(now.ClamdStream, 10),
		} {
			if err := tx.Set(ctx, name, value); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("note which filters there are: %w", err)
	}
	m.unpublished.Store(true)
	m.filterWatch.askSoon()
	return nil
}

// lookForFilters is LookForFilters for who goes on without it: those that are known
// stay.
func (m *Module) lookForFilters(ctx context.Context) {
	if err := m.LookForFilters(ctx); err != nil {
		m.log.Error().Err(err).Msg("it is not known which filters there are")
	}
}

// filtersFile is the file that tells Exim of the filters.
func (m *Module) filtersFile(ctx context.Context, tx *store.Tx) (files.File, error) {
	s, err := settings(ctx, tx)
	if err != nil {
		return files.File{}, err
	}
	f, err := filters(ctx, tx, s.Filters)
	if err != nil {
		return files.File{}, err
	}
	return m.tree.Layout().FiltersFile(f)
}

// filtersPlan is what a change of settings means for that file, after those that were.
func (m *Module) filtersPlan(ctx context.Context, tx *store.Tx, was mail.FilterSettings) ([]files.Change, error) {
	s, err := settings(ctx, tx)
	if err != nil || s.Filters == was {
		return nil, err
	}
	before, err := filters(ctx, tx, was)
	if err != nil {
		return nil, err
	}
	old, err := m.tree.Layout().FiltersFile(before)
	if err != nil {
		return nil, err
	}
	f, err := m.filtersFile(ctx, tx)
	return []files.Change{{File: f, Was: old.Body}}, err
}
