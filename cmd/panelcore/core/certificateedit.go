package core

import (
	"context"
	"database/sql"
	"regexp"
	"slices"
	"strings"
	"time"

	"maildomain/rpc/wire"
)

const (
	maxCertificates = 1000                // of a user
	endsSoon        = 14 * 24 * time.Hour // before its end a certificate is shown as ending
)

var certificateName = regexp.MustCompile(`^[a-z0-9][a-z0-9._-]{0,62}$`)

// takenNames mean something else where modules let one choose a certificate by name.
var takenNames = []string{"selfsigned", "letsencrypt"}

// inCircle says whether by may see and change what owner has.
func (c *Core) inCircle(by Caller, owner string) bool {
	if by.Level == levelAdmin || owner == by.User {
		return true
	}
	u := c.users.find(owner)
	return by.Level == levelReseller && u != nil && u.Parent == by.User
}

// certificateOf returns owner and name of the certificate elid; without an owner it
// is the caller's own.
func certificateOf(by Caller, elid string) (owner, name string) {
	if owner, name, ok := strings.Cut(elid, "/"); ok {
		return owner, name
	}
	return by.User, elid
}

// listCertificates lists the certificates that the caller may see.
func (c *Core) listCertificates(ctx context.Context, by Caller, r Request) (*Answer, error) {
	all, err := c.db.chains(ctx)
	if err != nil {
		return nil, err
	}
	var rows []map[string]string
	for _, s := range all {
		if c.inCircle(by, s.owner) {
			rows = append(rows, c.certificateRow(s))
		}
	}
	return page(rows, r.Params), nil
}

// certificateRow is what people see of a certificate: never its key.
func (c *Core) certificateRow(s *storedCertificate) map[string]string {
	state := "valid"
	switch left := s.notAfter.Sub(c.opt.Now()); {
	case left <= 0:
		state = "expired"
	case left < endsSoon:
		state = "ending"
	}
	hosts, issuer := s.about()
	return map[string]string{
		"id": s.id(), "name": s.name, "owner": s.owner, "state": state, "not_after": s.notAfter.Format(time.RFC3339),
		"hosts": strings.Join(hosts, " "), "issuer": issuer,
	}
}

// editCertificate shows, adds (no elid) or replaces a certificate.
func (c *Core) editCertificate(ctx context.Context, by Caller, r Request) (*Answer, error) {
	p, elid := r.Params, r.Params["elid"]
	s := &storedCertificate{owner: by.User}
	switch {
	case elid != "":
		if s.owner, s.name = certificateOf(by, elid); !c.inCircle(by, s.owner) {
			return nil, missed("nocert", elid)
		}
	case p["sok"] != "":
		if err := c.nameCertificate(by, s, p); err != nil {
			return nil, err
		}
	}
	if p["sok"] == "" {
		return c.showCertificate(ctx, s, elid)
	}
	// No user is deleted meanwhile: theirs are deleted with them.
	c.editing.Lock()
	defer c.editing.Unlock()
	if elid == "" && c.users.find(s.owner) == nil {
		return nil, badValue("owner", s.owner, "nouser")
	}
	if err := c.db.update(context.WithoutCancel(ctx), func(ctx context.Context, tx *sql.Tx) error {
		return s.save(ctx, tx, p, c.opt.Now())
	}); err != nil {
		return nil, err
	}
	c.wake("certificates")
	return ok(s.id()), nil
}

// showCertificate answers with the form, without the key.
func (c *Core) showCertificate(ctx context.Context, s *storedCertificate, elid string) (*Answer, error) {
	values := map[string]string{"name": "", "owner": s.owner}
	if elid != "" {
		if err := c.db.update(ctx, func(ctx context.Context, tx *sql.Tx) (err error) {
			if s, err = findCertificate(ctx, tx, s.owner, s.name); err == nil && s == nil {
				err = missed("nocert", elid)
			}
			return err
		}); err != nil {
			return nil, err
		}
		values = c.certificateRow(s)
	}
	values["certificate"], values["key"] = s.chain, ""
	return &Answer{Result: wire.Result{Kind: wire.KindForm, Values: values}}, nil
}

// save stores the certificate, a new one where p has no elid, with the chain and the
// key of p.
func (s *storedCertificate) save(ctx context.Context, tx *sql.Tx, p map[string]string, now time.Time) error {
	old, err := findCertificate(ctx, tx, s.owner, s.name)
	if err != nil {
		return err
	}
	switch elid := p["elid"]; {
	case elid != "" && old == nil:
		return missed("nocert", elid)
	case elid != "":
		s.chain, s.key = old.chain, old.key
	case old != nil:
		e := fail(typeExists, "name", "cert_exists")
		e.Value = s.name
		return e
	default:
		if n, err := countCertificates(ctx, tx, s.owner); err != nil {
			return err
		} else if n >= maxCertificates {
			return badValue("owner", s.owner, "cert_many", maxCertificates)
		}
	}
	if err := s.set(p, now); err != nil {
		return err
	}
	return putCertificate(ctx, tx, s)
}

// nameCertificate gives a new certificate its owner and name.
func (c *Core) nameCertificate(by Caller, s *storedCertificate, p map[string]string) error {
	if owner := p["owner"]; owner != "" {
		if !c.inCircle(by, owner) {
			return badValue("owner", owner, "nouser") // as if it did not exist
		}
		s.owner = owner
	}
	if s.name = p["name"]; !certificateName.MatchString(s.name) || slices.Contains(takenNames, s.name) {
		return badValue("name", s.name, "cert_name")
	}
	return nil
}

// set puts the chain and the key that are there into s: what is empty stays, so that
// a new certificate may keep its key. They must belong together.
func (s *storedCertificate) set(p map[string]string, now time.Time) error {
	chain, key := s.chain, s.key
	if p["certificate"] != "" {
		chain = p["certificate"]
	}
	if p["key"] != "" {
		key = p["key"]
	}
	leaf, chain, err := parseChain(chain, now)
	if err != nil {
		return err
	}
	if key, err = parseKey(key, leaf); err != nil {
		return err
	}
	s.chain, s.key, s.notAfter = chain, key, leaf.NotAfter.UTC()
	return nil
}

// deleteCertificates deletes certificates. Modules that serve them are told.
func (c *Core) deleteCertificates(ctx context.Context, by Caller, r Request) (*Answer, error) {
	a, deleted := ok(""), false
	for _, elid := range elids(r.Params["elid"]) {
		owner, name := certificateOf(by, elid)
		err := error(missed("nocert", elid))
		if c.inCircle(by, owner) {
			err = c.db.update(context.WithoutCancel(ctx), func(ctx context.Context, tx *sql.Tx) error {
				there, err := deleteCertificate(ctx, tx, owner, name)
				if err == nil && !there {
					return missed("nocert", elid)
				}
				return err
			})
		}
		if err := a.done(elid, err, r.Lang); err != nil {
			return nil, err
		}
		deleted = deleted || err == nil
	}
	if len(a.Done) == 0 {
		return nil, missed("nocert", "")
	}
	if deleted {
		c.wake("certificates")
	}
	return a, nil
}
