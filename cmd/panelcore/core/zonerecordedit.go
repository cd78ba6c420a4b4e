package core

import (
	"cmp"
	"context"
	"slices"
	"strconv"
	"strings"

	"maildomain/rpc/wire"
)

// listRecords lists the records of a zone, whoever they are of.
func (c *Core) listRecords(ctx context.Context, _ Caller, r Request) (*Answer, error) {
	zone := cmp.Or(r.Params["plid"], r.Params["elid"])
	var rs []record
	if err := c.zones.view(ctx, func(ctx context.Context, t *zoneTx) error {
		z, err := t.zone(ctx, zone)
		if err != nil {
			return err
		}
		if z == nil {
			return missed("nozone", zone)
		}
		rs, err = t.records(ctx, zone, "")
		return err
	}); err != nil {
		return nil, err
	}
	slices.SortStableFunc(rs, func(a, b record) int {
		return cmp.Or(compareNames(a.name, b.name), cmp.Compare(a.typ, b.typ), cmp.Compare(a.value, b.value))
	})
	var rows []map[string]string
	for _, r := range rs {
		rows = append(rows, map[string]string{
			"id": strconv.FormatInt(r.id, 10), "name": r.name, "type": r.typ, "ttl": strconv.FormatUint(uint64(r.ttl), 10),
			"value": r.value, "module": r.module, "own": onOff(r.module == ""),
		})
	}
	return page(rows, r.Params), nil
}

// editRecord shows, makes (no elid) or changes a person's record of the zone plid.
func (c *Core) editRecord(ctx context.Context, _ Caller, r Request) (*Answer, error) {
	p, zone := r.Params, r.Params["plid"]
	rec := record{name: zone, typ: "A", ttl: defaultTTL}
	change := func(ctx context.Context, t *zoneTx) error {
		z, err := t.zone(ctx, zone)
		if err != nil {
			return err
		}
		if z == nil {
			e := missed("nozone", zone)
			e.Object = "plid"
			return e
		}
		if p["elid"] != "" {
			old, err := t.personal(ctx, zone, p["elid"])
			if err != nil {
				return err
			}
			rec = *old
		}
		if p["sok"] == "" {
			return nil
		}
		before := rec
		if err := rec.set(zone, p); err != nil {
			return err
		}
		if rec == before {
			return nil
		}
		if err := t.fits(ctx, zone, rec); err != nil {
			return err
		}
		return t.putRecord(ctx, zone, rec)
	}
	if p["sok"] == "" {
		if err := c.zones.view(ctx, change); err != nil {
			return nil, err
		}
		return recordForm(zone, rec), nil
	}
	if err := c.zones.change(ctx, change); err != nil {
		return nil, err
	}
	c.zones.passOnSoon(zone)
	return ok(rec.name), nil
}

func recordForm(zone string, r record) *Answer {
	var types []wire.Option
	for _, t := range personTypes {
		types = append(types, wire.Option{Key: t, Label: t})
	}
	return &Answer{Result: wire.Result{Kind: wire.KindForm, Values: map[string]string{
		"plid": zone, "name": r.name, "type": r.typ, "ttl": strconv.FormatUint(uint64(r.ttl), 10), "value": r.value,
	}, SLists: map[string][]wire.Option{"type": types}}}
}

// personal returns the person's record of that id in a zone.
func (t *zoneTx) personal(ctx context.Context, zone, elid string) (*record, error) {
	rs, err := t.records(ctx, zone, "")
	if err != nil {
		return nil, err
	}
	i := slices.IndexFunc(rs, func(r record) bool { return strconv.FormatInt(r.id, 10) == elid })
	if i < 0 {
		return nil, missed("norecord", elid)
	}
	if rs[i].module != "" {
		return nil, fail(typeAccess, "elid", "zone_module", rs[i].module)
	}
	return &rs[i], nil
}

// set puts the parameters that are there into r.
func (r *record) set(zone string, p map[string]string) error {
	if typ, sent := p["type"]; sent {
		if !slices.Contains(personTypes, typ) {
			return badValue("type", typ, "zone_type")
		}
		r.typ = typ
	}
	name := cmp.Or(typedName(p["name"], zone), r.name)
	parsed, ok := parseOwner(name, r.typ, true)
	if !ok || !inside(parsed, zone) || r.typ == "NS" && parsed == zone {
		return badValue("name", p["name"], "zone_record")
	}
	r.name = parsed
	if ttl, sent := p["ttl"]; sent {
		n, err := strconv.ParseUint(ttl, 10, 32)
		if err != nil || n < minTTL || n > maxTTL {
			return badValue("ttl", ttl, "zone_ttl", minTTL, maxTTL)
		}
		r.ttl = uint32(n)
	}
	value := r.value
	if v, sent := p["value"]; sent {
		value = v
	}
	value, wrong := parseValue(r.typ, value)
	if wrong != "" {
		return badValue("value", p["value"], wrong)
	}
	r.value = value
	return nil
}

// typedName completes a name as people write it: whole, or without the zone's; @ is
// the zone itself.
func typedName(name, zone string) string {
	name = strings.ToLower(strings.TrimSpace(name))
	whole := strings.TrimSuffix(name, ".")
	switch {
	case name == "":
		return ""
	case name == "@":
		return zone
	case whole != name || inside(name, zone):
		return whole
	}
	return name + "." + zone
}

// fits says whether r can stand beside what else is at its name.
func (t *zoneTx) fits(ctx context.Context, zone string, r record) error {
	there, err := t.records(ctx, zone, r.name)
	if err != nil {
		return err
	}
	if r.typ == "CNAME" && r.name == zone {
		return badValue("type", r.typ, "zone_alias")
	}
	for _, o := range there {
		switch {
		case o.id == r.id:
		case o.typ == r.typ && o.value == r.value && o.module == "":
			e := fail(typeExists, "value", "zone_same")
			e.Value = cut(r.value)
			return e
		case o.typ == "CNAME" || r.typ == "CNAME": // RFC 1034 section 3.6.2
			return badValue("type", r.typ, "zone_alias")
		case r.soleKind() != "" && o.typ == r.typ && o.soleKind() == r.soleKind() && o.value != r.value:
			return badValue("value", r.value, "zone_sole", r.soleKind())
		}
	}
	return nil
}

// deleteRecords deletes persons' records of the zone plid.
func (c *Core) deleteRecords(ctx context.Context, _ Caller, r Request) (*Answer, error) {
	zone := r.Params["plid"]
	a := ok("")
	for _, id := range elids(r.Params["elid"]) {
		err := c.zones.change(ctx, func(ctx context.Context, t *zoneTx) error {
			rec, err := t.personal(ctx, zone, id)
			if err != nil {
				return err
			}
			return t.deleteRecord(ctx, zone, rec.id)
		})
		if err := a.done(id, err, r.Lang); err != nil {
			return nil, err
		}
	}
	if len(a.Done) == 0 {
		return nil, missed("norecord", "")
	}
	c.zones.passOnSoon(zone)
	return a, nil
}
