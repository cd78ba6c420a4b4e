package core

import (
	"context"
	"crypto/rand"
	"database/sql"
	_ "embed"
	"encoding/json"
	"fmt"
	"maps"
	"strings"

	"golang.org/x/sync/errgroup"

	"maildomain/rpc/wire"
)

// demoData is the users, parameters and zones of a demonstration.
//
//go:embed demo.json
var demoData []byte

// nobody is the user and group id of users for whom none is given.
const nobody = 65534

// A Demo says what Prepare did with the demonstration users.
type Demo struct {
	Users    []wire.User // those that are there
	Password string      // the random one that was made for them just now; empty otherwise
	Set      bool        // the password is the one that was given
}

// Prepare completes the parameters that are missing and, where Options.Demo says
// so, makes the demonstration users and sets their password.
func (c *Core) Prepare(ctx context.Context) (Demo, error) {
	var d Demo
	if len(c.opt.DemoPassword) > maxPassword {
		return d, fmt.Errorf("set password of the demonstration users: longer than %d bytes", maxPassword)
	}
	ps, err := firstParams()
	if err != nil {
		return d, err
	}
	for name := range c.params.all() {
		delete(ps, name)
	}
	var us []*user
	var first struct {
		Params map[string]param `json:"params"`
		Users  []wire.User      `json:"users"`
		Zones  []demoZone       `json:"zones"`
	}
	if c.opt.Demo && c.users.len() == 0 {
		if err := json.Unmarshal(demoData, &first); err != nil {
			return d, fmt.Errorf("read demonstration users: %w", err)
		}
		for _, u := range first.Users {
			u.Active, u.UID, u.GID, u.Home, u.Lang = true, nobody, nobody, "/var/www/"+u.Name, "en"
			us = append(us, &user{User: u, demo: true})
		}
		maps.Copy(ps, first.Params)
		if c.opt.DemoPassword == "" {
			d.Password = strings.ToLower(rand.Text())
		}
	} else if c.opt.Demo {
		for _, u := range c.users.all() {
			if u.demo {
				us = append(us, u)
			}
		}
	}
	for _, u := range us {
		d.Users = append(d.Users, u.User)
	}
	if password := d.Password + c.opt.DemoPassword; c.opt.Demo && password != "" {
		d.Set = d.Password == ""
		if us, err = c.withPassword(ctx, us, password); err != nil {
			return d, err
		}
	} else {
		us = nil
	}
	if err := c.db.update(ctx, func(ctx context.Context, tx *sql.Tx) error {
		for name, p := range ps {
			if err := putParam(ctx, tx, name, p); err != nil {
				return err
			}
		}
		for _, u := range us {
			if err := putUser(ctx, tx, u); err != nil {
				return err
			}
		}
		return nil
	}); err != nil {
		return d, err
	}
	c.params.put(ps)
	for _, u := range us {
		c.users.put(u)
	}
	return d, c.makeZones(ctx, first.Zones)
}

// A demoZone is a zone of a demonstration with records of people.
type demoZone struct {
	Name    string `json:"name"`
	Owner   string `json:"owner"`
	Records []struct{ Name, Type, Value string }
}

func (c *Core) makeZones(ctx context.Context, zs []demoZone) error {
	if len(zs) == 0 {
		return nil
	}
	return c.zones.change(ctx, func(ctx context.Context, t *zoneTx) error {
		for _, z := range zs {
			if taken, err := t.zone(ctx, z.Name); taken != nil || err != nil {
				return err
			}
			t.touched[z.Name] = true
			if err := t.putZone(ctx, &zone{name: z.Name, serial: 1, owner: z.Owner}); err != nil {
				return err
			}
			for _, r := range z.Records {
				if err := t.putRecord(ctx, z.Name, record{name: r.Name, typ: r.Type, ttl: defaultTTL, value: r.Value}); err != nil {
					return err
				}
			}
		}
		return nil
	})
}

// withPassword returns those of us whose password is another, with a hash of it.
func (c *Core) withPassword(ctx context.Context, us []*user, password string) ([]*user, error) {
	changed := make([]*user, len(us))
	var g errgroup.Group
	g.SetLimit(hashesAtOnce) // none waits for its turn so long that it is given up
	for i, u := range us {
		g.Go(func() error {
			if u.hash != "" {
				if same, err := c.hashing.verify(ctx, u.hash, password); same || err != nil {
					return err
				}
			}
			hash, err := c.hashing.hash(ctx, password)
			if err != nil {
				return fmt.Errorf("hash password of %s: %w", u.Name, err)
			}
			next := *u
			next.hash = hash
			changed[i] = &next
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	var set []*user
	for _, u := range changed {
		if u != nil {
			set = append(set, u)
		}
	}
	return set, nil
}
