package core

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/sourcegraph/jsonrpc2"

	"maildomain/rpc/wire"
)

const (
	maxChanges   = 1000 // of one core.dns
	maxSetValues = 100
)

// handOver serves core.dns.
func (c *conn) handOver(ctx context.Context, req *jsonrpc2.Request) {
	var w wire.DNS
	if err := params(req, &w); err != nil {
		c.reply(ctx, req, nil, invalidParams(err))
		return
	}
	if name := c.module.registeredName(); w.Module == "" || w.Module != name {
		c.reply(ctx, req, nil, invalidParams(fmt.Errorf("records of %.100q: this is the module %q", w.Module, name)))
		return
	}
	outcomes, err := c.module.core.zones.hand(ctx, w)
	if e, ok := errors.AsType[*Error](err); ok {
		c.reply(ctx, req, nil, invalidParams(e))
		return
	}
	if err != nil {
		c.module.log.Error().Err(err).Str("domain", w.Zone).Msg("records not taken over")
		c.reply(ctx, req, nil, &jsonrpc2.Error{Code: jsonrpc2.CodeInternalError, Message: "internal error"})
		return
	}
	c.reply(ctx, req, outcomes, nil)
}

// hand makes a module's changes, each for itself: one that cannot be made leaves the
// others. An *Error is about the whole.
func (z *zones) hand(ctx context.Context, w wire.DNS) ([]wire.DNSOutcome, error) {
	domain, ok := parseName(w.Zone, false)
	if !ok {
		return nil, badValue("zone", w.Zone, "zone_name")
	}
	if len(w.Changes) > maxChanges {
		return nil, badValue("changes", "", "zone_changes", maxChanges)
	}
	if !slices.ContainsFunc(w.Changes, func(c wire.DNSChange) bool {
		name, ok := parseOwner(c.Name, c.Type, false)
		return ok && z.serves(name)
	}) {
		return elsewhere(w, domain), nil
	}
	outcomes := make([]wire.DNSOutcome, len(w.Changes))
	in := make([]string, len(w.Changes)) // the zone of each change that was made
	if err := z.change(ctx, func(ctx context.Context, t *zoneTx) error {
		for i, c := range w.Changes {
			var err error
			if outcomes[i], in[i], err = t.hand(ctx, w, domain, c); err != nil {
				return err
			}
		}
		return nil
	}); err != nil {
		return nil, err
	}
	touched := slices.Sorted(slices.Values(in))
	for _, zone := range slices.Compact(touched) {
		if _, waits := z.waits(zone); zone == "" || !waits {
			continue
		}
		why := z.passOn(zone)
		if why == "" {
			continue
		}
		names, err := z.unpassed(context.WithoutCancel(ctx), zone)
		if err != nil {
			return nil, err
		}
		for i := range outcomes {
			if name, _ := parseName(outcomes[i].Name, true); in[i] == zone && names[name] {
				outcomes[i].State, outcomes[i].Reason = wire.DNSPending, why
			}
		}
	}
	return outcomes, nil
}

// elsewhere are the outcomes of changes none of which is in a zone of ours.
func elsewhere(w wire.DNS, domain string) []wire.DNSOutcome {
	outcomes := make([]wire.DNSOutcome, len(w.Changes))
	for i, c := range w.Changes {
		o := wire.DNSOutcome{Name: c.Name, Type: c.Type, State: wire.DNSNoZone}
		_, why := parseSet(w.Module, c)
		if name, _ := parseOwner(c.Name, c.Type, false); why == "" && !inside(name, domain) {
			why = notInside + domain
		}
		if why != "" {
			o.State, o.Reason = wire.DNSRefused, why
		}
		outcomes[i] = o
	}
	return outcomes
}

const notInside = "the name is not in "

// hand makes one change of a module's for the mail domain of a user. zone is empty where
// nothing was to be made.
func (t *zoneTx) hand(ctx context.Context, w wire.DNS, domain string, c wire.DNSChange) (o wire.DNSOutcome, zone string, err error) {
	o = wire.DNSOutcome{Name: c.Name, Type: c.Type}
	refused := func(why string) (wire.DNSOutcome, string, error) {
		o.State, o.Reason = wire.DNSRefused, why
		return o, "", nil
	}
	set, why := parseSet(w.Module, c)
	if why != "" {
		return refused(why)
	}
	name, _ := parseOwner(c.Name, c.Type, false)
	if !inside(name, domain) {
		return refused(notInside + domain)
	}
	in, err := t.zoneOf(ctx, name)
	if err != nil {
		return o, "", err
	}
	away := false
	if in != nil {
		if away, err = t.delegated(ctx, in.name, name); err != nil {
			return o, "", err
		}
	}
	if in == nil || away {
		o.State = wire.DNSNoZone
		return o, "", nil
	}
	there, err := t.records(ctx, in.name, name)
	if err != nil {
		return o, "", err
	}
	var mine, others []record
	alias := ""
	for _, r := range there {
		switch {
		case r.module == w.Module && r.typ == c.Type:
			mine = append(mine, r)
		case r.typ == "CNAME":
			alias = r.value
		case r.typ == c.Type:
			others = append(others, r)
		}
	}
	switch {
	case in.owner != "" && in.owner != w.Owner && adds(set, mine):
		return refused("the zone " + in.name + " is not of the domain's owner")
	case alias != "" && len(set) > 0:
		o.Others = []string{alias}
		return refused("the name is an alias (CNAME)")
	}
	if values := conflicting(set, mine, others); values != nil {
		o.State, o.Others = wire.DNSConflict, values
		return o, "", nil
	}
	o.State = wire.DNSPublished
	return o, in.name, t.replace(ctx, in.name, mine, set)
}

// adds says that set has a value that have has not.
func adds(set, have []record) bool {
	return slices.ContainsFunc(set, func(r record) bool {
		return !slices.ContainsFunc(have, func(h record) bool { return h.value == r.value })
	})
}

// parseSet returns the record set that a change wants, of a put or, empty, of a
// removal; otherwise why it cannot be.
func parseSet(module string, c wire.DNSChange) (set []record, why string) {
	if !slices.Contains(moduleTypes, c.Type) {
		return nil, "the type is none of " + strings.Join(moduleTypes, ", ")
	}
	name, ok := parseOwner(c.Name, c.Type, false)
	if !ok {
		return nil, "not a name that such a record can have"
	}
	switch {
	case c.Op == wire.DNSRemove:
		return nil, ""
	case c.Op != wire.DNSPut:
		return nil, "the operation is neither put nor remove"
	case c.TTL < minTTL || c.TTL > maxTTL:
		return nil, fmt.Sprintf("the TTL is not from %d to %d seconds", minTTL, maxTTL)
	case len(c.Values) == 0:
		return nil, "no values"
	case len(c.Values) > maxSetValues:
		return nil, fmt.Sprintf("more than %d values", maxSetValues)
	}
	seen, sole, bytes := map[string]bool{}, map[string]bool{}, 0
	for _, v := range c.Values {
		value, wrong := parseValue(c.Type, v)
		if wrong != "" {
			return nil, texts["en"][wrong]
		}
		if seen[value] {
			continue
		}
		seen[value] = true
		r := record{name: name, typ: c.Type, ttl: c.TTL, value: value, module: module}
		if kind := r.soleKind(); kind != "" && sole[kind] {
			return nil, "more than one " + kind + " record"
		} else if kind != "" {
			sole[kind] = true
		}
		if bytes += len(value); bytes > maxSetText {
			return nil, fmt.Sprintf("more than %d bytes of values", maxSetText)
		}
		set = append(set, r)
	}
	return set, ""
}

// replace makes have into want, and touches nothing where they are the same.
func (t *zoneTx) replace(ctx context.Context, zone string, have, want []record) error {
	byValue := map[string]record{}
	for _, r := range have {
		byValue[r.value] = r
	}
	for _, r := range want {
		old, stands := byValue[r.value]
		delete(byValue, r.value)
		if stands && old.ttl == r.ttl {
			continue
		}
		r.id = old.id
		if err := t.putRecord(ctx, zone, r); err != nil {
			return err
		}
	}
	for _, r := range have {
		if _, left := byValue[r.value]; left {
			if err := t.deleteRecord(ctx, zone, r.id); err != nil {
				return err
			}
		}
	}
	return nil
}
