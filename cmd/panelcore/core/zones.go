package core

import (
	"context"
	"database/sql"
	"fmt"
	"maps"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"
	"golang.org/x/sync/singleflight"
)

// zones is the part of the core that has the records of domains: in the database,
// in zone files, and at the authoritative server that they are passed on to.
type zones struct {
	db     *database
	params *paramTable
	dir    string
	log    zerolog.Logger
	now    func() time.Time

	running context.Context // ends with the core; exchanges with the server with it

	mu sync.Mutex // zones change one at a time, so that files are written in the order of the changes

	served atomic.Pointer[map[string]bool] // the names of all zones; replaced, never changed

	passing singleflight.Group // one exchange with the server a zone
	hold    hold
}

// openZones makes the zone files what the database says: a core that ended in the
// middle of a change may have left them behind it.
func openZones(ctx context.Context, c *Core) (*zones, error) {
	z := &zones{db: c.db, params: c.params, dir: filepath.Join(c.opt.Data, "zones"), log: c.log, now: c.opt.Now, running: c.running}
	if err := os.MkdirAll(z.dir, 0o755); err != nil {
		return nil, fmt.Errorf("make directory of zone files: %w", err)
	}
	staged := &staging{dir: z.dir}
	defer staged.drop()
	if err := z.db.update(ctx, func(ctx context.Context, tx *sql.Tx) error { return z.restore(ctx, &zoneTx{Tx: tx}, staged) }); err != nil {
		return nil, err
	}
	return z, staged.publish()
}

// restore stages each zone file that is not as it should be, and the removal of
// those of zones that are gone.
func (z *zones) restore(ctx context.Context, t *zoneTx, staged *staging) error {
	all, err := t.zones(ctx)
	if err != nil {
		return err
	}
	known := map[string]bool{}
	z.served.Store(&known)
	for _, zone := range all {
		known[zone.name] = true
		text, err := z.render(ctx, t, zone)
		if err != nil {
			z.log.Error().Err(err).Str("zone", zone.name).Msg("zone file not written")
			continue
		}
		if have, err := os.ReadFile(staged.path(zone.name)); err == nil && string(have) == text {
			continue
		}
		if err := z.settle(ctx, t, zone.name, staged); err != nil {
			return err
		}
	}
	files, err := os.ReadDir(z.dir)
	if err != nil {
		return fmt.Errorf("read directory of zone files: %w", err)
	}
	for _, f := range files {
		name, ok := strings.CutSuffix(f.Name(), ".zone")
		if !ok || known[name] {
			continue
		}
		if text, err := os.ReadFile(filepath.Join(z.dir, f.Name())); err == nil && strings.HasPrefix(string(text), zoneFileMark) {
			staged.removed = append(staged.removed, name)
		}
	}
	return nil
}

func (z *zones) render(ctx context.Context, t *zoneTx, zone *zone) (string, error) {
	rs, err := t.records(ctx, zone.name, "")
	if err != nil {
		return "", err
	}
	return renderZone(zone, rs, newNameservers(z.params.all()))
}

// newNameservers reads the parameters. Words that are no names or addresses are left
// out.
func newNameservers(ps map[string]param) nameservers {
	var s nameservers
	for _, w := range ps[paramNameservers].list {
		if name, ok := parseName(w, false); ok {
			s.names = append(s.names, name)
		}
	}
	for _, w := range ps[paramServerIPs].list {
		if ip, err := netip.ParseAddr(w); err == nil && ip.Zone() == "" && !ip.Is4In6() {
			s.ips = append(s.ips, ip.String())
		}
	}
	return s
}

// change runs f in a transaction. Each zone that f touched gets a new serial and a
// new file, and is marked to be passed on. All of that happens, or nothing.
func (z *zones) change(ctx context.Context, f func(context.Context, *zoneTx) error) error {
	z.mu.Lock()
	defer z.mu.Unlock()
	staged := &staging{dir: z.dir}
	defer staged.drop()
	var stands map[string]bool // by the name of a zone that was touched
	if err := z.db.update(context.WithoutCancel(ctx), func(ctx context.Context, tx *sql.Tx) error {
		t := &zoneTx{Tx: tx, touched: map[string]bool{}}
		stands = map[string]bool{}
		if err := f(ctx, t); err != nil {
			return err
		}
		for _, name := range slices.Sorted(maps.Keys(t.touched)) {
			if err := z.settle(ctx, t, name, staged); err != nil {
				return err
			}
			stands[name] = !slices.Contains(staged.removed, name)
		}
		return nil
	}); err != nil {
		return err
	}
	z.know(stands)
	if len(staged.written)+len(staged.removed) == 0 {
		return nil
	}
	return staged.publish()
}

// know notes which zones there are now. It is for the holder of mu.
func (z *zones) know(stands map[string]bool) {
	served := *z.served.Load()
	for name, is := range stands {
		if served[name] == is {
			continue // the usual: its records changed
		}
		served = maps.Clone(served)
		if served[name] = is; !is {
			delete(served, name)
		}
	}
	z.served.Store(&served)
}

// serves says that a zone has the name, or a name above it.
func (z *zones) serves(name string) bool {
	served := *z.served.Load()
	for of := name; of != ""; _, of, _ = strings.Cut(of, ".") {
		if served[of] {
			return true
		}
	}
	return false
}

// settle completes the change of one zone.
func (z *zones) settle(ctx context.Context, t *zoneTx, name string, staged *staging) error {
	zone, err := t.zone(ctx, name)
	if err != nil {
		return err
	}
	if zone == nil {
		staged.removed = append(staged.removed, name)
		return z.mark(ctx, t, name)
	}
	zone.serial = nextSerial(zone.serial, z.now())
	if err := t.putZone(ctx, zone); err != nil {
		return err
	}
	text, err := z.render(ctx, t, zone)
	if err != nil {
		return err
	}
	if err := staged.write(name, text); err != nil {
		return err
	}
	return z.mark(ctx, t, name)
}

// nextSerial is the date and a count of two digits where it can be (RFC 1912 section
// 2.2), and larger than the one before in any case.
func nextSerial(before uint32, now time.Time) uint32 {
	y, m, d := now.UTC().Date()
	return max(before+1, uint32(((y*100+int(m))*100+d)*100))
}

// view runs f on zones as they are.
func (z *zones) view(ctx context.Context, f func(context.Context, *zoneTx) error) error {
	return z.db.update(ctx, func(ctx context.Context, tx *sql.Tx) error { return f(ctx, &zoneTx{Tx: tx}) })
}
