package module

import (
	"context"
	"fmt"
	"strconv"

	"maildomain/module/store"
)

// Dovecot's processes of before a reload live on while a session of theirs does, and
// keep what they had read. It is not to be seen from here whether any still do: what
// they may hold together is counted, and before that is too much everybody is sent
// away once, as each reload did if sessions were not left alone.
const (
	generationHolds  = 6   // MB, of processes for log-ins and the log
	certificateHolds = 250 // KB, for each certificate
	generationsHold  = 512 // MB, of all together
)

// tlsGenerations is the setting that says how many megabytes it may be by now.
const tlsGenerations = "tls_generations"

// afterGeneration is what all may hold after one more, which had so many certificates;
// crowded: that is too much.
func afterGeneration(held, certificates int) (holds int, crowded bool) {
	holds = held + generationHolds + certificates*certificateHolds/1000
	return holds, holds > generationsHold
}

// leaveGeneration counts what a reload leaves behind, and ends all sessions where that
// is too much. The next reload is paced by it.
func (m *Module) leaveGeneration(ctx context.Context, certificates int) error {
	crowded := false
	err := m.db.Update(context.WithoutCancel(ctx), func(ctx context.Context, tx *store.Tx) error {
		tx.Aside()
		set, err := tx.Settings(ctx)
		if err != nil {
			return err
		}
		if err := tx.Set(ctx, tlsPaced, afterPace(tx.Now, set[tlsPaced], certificates)); err != nil {
			return err
		}
		held, err := strconv.Atoi(set[tlsGenerations])
		if err != nil { // the first
			held = 0
		}
		if held, crowded = afterGeneration(held, certificates); crowded {
			held = 0
		}
		return tx.Set(ctx, tlsGenerations, strconv.Itoa(held))
	})
	if err == nil && crowded {
		m.log.Info().Msg("dovecot's processes of earlier reloads may hold much memory; all sessions are ended, so that they end")
		err = m.tree.EndSessions(ctx, []string{"*"})
	}
	if err != nil {
		return fmt.Errorf("look after what reloads leave behind: %w", err)
	}
	return nil
}
