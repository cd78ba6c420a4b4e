package core

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strconv"

	"maildomain/rpc/wire"
)

// maxZoneName leaves room for what the name of a zone's file has besides.
const maxZoneName = 240

var mailbox = regexp.MustCompile(`^[A-Za-z0-9._+-]{1,63}@([a-z0-9.-]{1,190})$`)

// listZones lists the zones and whether the name server has all of them.
func (c *Core) listZones(ctx context.Context, _ Caller, r Request) (*Answer, error) {
	var rows []map[string]string
	err := c.zones.view(ctx, func(ctx context.Context, t *zoneTx) error {
		found, err := t.QueryContext(ctx, `SELECT z.name, z.serial, z.owner, z.server, z.mailbox, u.reason IS NULL, coalesce(u.reason, ''),
			(SELECT count(*) FROM record WHERE zone = z.name) FROM zone z LEFT JOIN unpassed u ON u.zone = z.name ORDER BY z.name`)
		if err != nil {
			return fmt.Errorf("read zones: %w", err)
		}
		defer found.Close()
		for found.Next() {
			var z zone
			var passed bool
			var reason string
			var records int
			if err := found.Scan(&z.name, &z.serial, &z.owner, &z.server, &z.mailbox, &passed, &reason, &records); err != nil {
				return fmt.Errorf("read zones: %w", err)
			}
			rows = append(rows, map[string]string{
				"name": z.name, "serial": strconv.FormatUint(uint64(z.serial), 10), "owner": z.owner, "server": z.server, "mailbox": z.mailbox,
				"records": strconv.Itoa(records), "passed": onOff(passed), "reason": reason,
			})
		}
		return found.Err()
	})
	if err != nil {
		return nil, err
	}
	return page(rows, r.Params), nil
}

// editZone shows, makes (no elid) or changes a zone.
func (c *Core) editZone(ctx context.Context, _ Caller, r Request) (*Answer, error) {
	p, elid := r.Params, r.Params["elid"]
	z := &zone{}
	change := func(ctx context.Context, t *zoneTx) error {
		if elid != "" {
			old, err := t.zone(ctx, elid)
			if err != nil {
				return err
			}
			if old == nil {
				return missed("nozone", elid)
			}
			z = old
		}
		if p["sok"] == "" {
			return nil
		}
		if elid == "" {
			if err := t.nameZone(ctx, z, p["name"]); err != nil {
				return err
			}
		}
		if err := c.setZone(z, p); err != nil {
			return err
		}
		rs, err := t.records(ctx, z.name, "")
		if err != nil {
			return err
		}
		if names, _ := newNameservers(c.params.all()).of(z, rs); len(names) == 0 {
			return badValue("server", z.server, "zone_server")
		}
		t.touched[z.name] = true
		return t.putZone(ctx, z)
	}
	if p["sok"] == "" {
		if err := c.zones.view(ctx, change); err != nil {
			return nil, err
		}
		return &Answer{Result: wire.Result{Kind: wire.KindForm, Values: map[string]string{
			"name": z.name, "owner": z.owner, "server": z.server, "mailbox": z.mailbox, "serial": strconv.FormatUint(uint64(z.serial), 10),
		}}}, nil
	}
	if err := c.zones.change(ctx, change); err != nil {
		return nil, err
	}
	c.zones.passOnSoon(z.name)
	if elid == "" {
		c.wake("zones")
	}
	return ok(z.name), nil
}

// nameZone gives a new zone its name.
func (t *zoneTx) nameZone(ctx context.Context, z *zone, typed string) error {
	name, valid := parseName(typed, false)
	if !valid || len(name) > maxZoneName {
		return badValue("name", typed, "zone_name")
	}
	if taken, err := t.zone(ctx, name); err != nil {
		return err
	} else if taken != nil {
		e := fail(typeExists, "name", "zone_exists")
		e.Value = name
		return e
	}
	z.name, z.serial = name, 1
	return nil
}

// setZone puts the parameters that are there into z.
func (c *Core) setZone(z *zone, p map[string]string) error {
	if owner, sent := p["owner"]; sent {
		if owner != "" && c.users.find(owner) == nil {
			return badValue("owner", owner, "nouser")
		}
		z.owner = owner
	}
	if server, sent := p["server"]; sent {
		name, valid := parseName(server, false)
		if !valid && server != "" {
			return badValue("server", server, "zone_host")
		}
		z.server = name
	}
	if box, sent := p["mailbox"]; sent {
		if m := mailbox.FindStringSubmatch(box); box != "" {
			if m == nil {
				return badValue("mailbox", box, "zone_mailbox")
			}
			if _, valid := parseName(m[1], false); !valid {
				return badValue("mailbox", box, "zone_mailbox")
			}
		}
		z.mailbox = box
	}
	return nil
}

// deleteZones deletes zones with all of their records; modules are told, and hand theirs
// over again when there is a zone again.
func (c *Core) deleteZones(ctx context.Context, _ Caller, r Request) (*Answer, error) {
	a := ok("")
	for _, name := range elids(r.Params["elid"]) {
		err := c.zones.change(ctx, func(ctx context.Context, t *zoneTx) error {
			z, err := t.zone(ctx, name)
			if err != nil {
				return err
			}
			if z == nil {
				return missed("nozone", name)
			}
			return t.deleteZone(ctx, name)
		})
		if err := a.done(name, err, r.Lang); err != nil {
			return nil, err
		}
		if err == nil {
			c.zones.passOnSoon(name)
		}
	}
	if len(a.Done) == 0 {
		return nil, missed("nozone", "")
	}
	c.wake("zones")
	return a, nil
}

// done adds what became of one object of a group; a fault is returned.
func (a *Answer) done(elid string, err error, lang string) error {
	d := wire.Done{Elid: elid, OK: err == nil}
	if err != nil {
		e, ok := err.(*Error)
		if !ok {
			return err
		}
		d.Error = e.data(lang)
	}
	a.Done = append(a.Done, d)
	return nil
}

// missed says that there is no object elid; text says of what.
func missed(text, elid string) *Error {
	e := fail(typeMissed, "elid", text)
	e.Value = cut(elid)
	return e
}

// passOnSoon passes a zone on when a person changed it, so that the list shows what
// came of it. What fails is in the queue.
func (z *zones) passOnSoon(zone string) {
	if _, waits := z.waits(zone); waits {
		z.passOn(zone)
	}
}

// lacking returns a zone that would be without a name server if the parameters were
// those; empty: none.
func (z *zones) lacking(ctx context.Context, s nameservers) (string, error) {
	var lacks string
	err := z.view(ctx, func(ctx context.Context, t *zoneTx) error {
		all, err := t.zones(ctx)
		if err != nil {
			return err
		}
		i := slices.IndexFunc(all, func(zone *zone) bool {
			var rs []record
			if err == nil {
				rs, err = t.records(ctx, zone.name, "")
			}
			names, _ := s.of(zone, rs)
			return err == nil && len(names) == 0
		})
		if i >= 0 {
			lacks = all[i].name
		}
		return err
	})
	return lacks, err
}

// rewrite gives every zone a new serial and file, as the parameters changed.
func (z *zones) rewrite(ctx context.Context) error {
	return z.change(ctx, func(ctx context.Context, t *zoneTx) error {
		all, err := t.zones(ctx)
		for _, zone := range all {
			t.touched[zone.name] = true
		}
		return err
	})
}
