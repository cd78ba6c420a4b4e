package core

import (
	"context"
	"database/sql"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"maildomain/rpc/wire"
)

const limitPrefix = "limit_" // of the parameters that set a user's limits

// shownLimits are those of core.users that the form has. Scripts may set others.
var shownLimits = []string{"emaildomains", "emails", "email_quota", "ssl"}

var (
	userName  = regexp.MustCompile(`^[a-z][a-z0-9._-]{0,31}$`)
	limitName = regexp.MustCompile(`^[a-z][a-z0-9_]{0,31}$`)
)

// listUsers lists the users that the caller may log in as.
func (c *Core) listUsers(_ context.Context, by Caller, r Request) (*Answer, error) {
	var rows []map[string]string
	for _, u := range c.users.all() {
		if by.Level == levelAdmin || u.Parent == by.User || u.Name == by.User {
			rows = append(rows, userRow(u))
		}
	}
	return page(rows, r.Params), nil
}

func userRow(u *user) map[string]string {
	row := map[string]string{
		"name": u.Name, "level": u.Level, "parent": u.Parent, "active": onOff(u.Active), "language": u.Lang,
		"ips": strings.Join(u.IPs, " "), "uid": strconv.Itoa(u.UID), "gid": strconv.Itoa(u.GID), "home": u.Home,
	}
	for name, n := range u.Limits {
		row[limitPrefix+name] = strconv.FormatInt(n, 10)
	}
	return row
}

// editUser shows, makes (no elid) or changes a user.
func (c *Core) editUser(ctx context.Context, by Caller, r Request) (*Answer, error) {
	c.editing.Lock()
	defer c.editing.Unlock()
	p, elid := r.Params, r.Params["elid"]
	old := c.users.find(elid)
	if elid != "" && old == nil {
		return nil, missedUser(elid)
	}
	next := &user{User: wire.User{Level: levelUser, Parent: by.User, Active: true, UID: nobody, GID: nobody, Lang: "en", IPs: []string{}, Limits: wire.Limits{}}}
	if old != nil {
		u := *old
		next = &u
	}
	next.Limits = maps.Clone(next.Limits)
	if p["sok"] == "" {
		return userForm(next), nil
	}
	if old == nil {
		if next.Name = p["name"]; !userName.MatchString(next.Name) {
			return nil, badValue("name", p["name"], "username")
		}
		if c.users.find(next.Name) != nil {
			e := fail(typeExists, "name", "exists")
			e.Value = next.Name
			return nil, e
		}
	}
	if err := c.setUser(next, p); err != nil {
		return nil, err
	}
	if err := c.checkPlace(old, next); err != nil {
		return nil, err
	}
	if password := p["passwd"]; password != "" {
		if len(password) < 8 || len(password) > maxPassword {
			return nil, badValue("passwd", "", "passwd")
		}
		hash, err := c.hashing.hash(ctx, password)
		if err != nil {
			return nil, err
		}
		next.hash = hash
	}
	if err := c.db.update(context.WithoutCancel(ctx), func(ctx context.Context, tx *sql.Tx) error { return putUser(ctx, tx, next) }); err != nil {
		return nil, err
	}
	c.users.put(next)
	if old != nil && (old.hash != next.hash || !next.Active) {
		c.sessions.endOf(next.Name)
	}
	c.invalidate("users")
	return ok(next.Name), nil
}

func missedUser(elid string) *Error {
	e := fail(typeMissed, "elid", "nouser")
	e.Value = cut(elid)
	return e
}

func userForm(u *user) *Answer {
	values := userRow(u)
	values["passwd"] = ""
	for _, limit := range shownLimits {
		if _, set := u.Limits[limit]; !set {
			values[limitPrefix+limit] = "" // none
		}
	}
	choice := func(keys ...string) (options []wire.Option) {
		for _, k := range keys {
			options = append(options, wire.Option{Key: k, Label: k})
		}
		return options
	}
	return &Answer{Result: wire.Result{Kind: wire.KindForm, Values: values, SLists: map[string][]wire.Option{
		"level": choice(levelUser, levelReseller, levelAdmin), "language": choice("en", "ru"),
	}}}
}

// setUser puts the parameters that are there into u.
func (c *Core) setUser(u *user, p map[string]string) error {
	for _, name := range slices.Sorted(maps.Keys(p)) {
		value, known := p[name], true
		switch name {
		case "level":
			u.Level, known = value, rank(value) > 0
		case "language": // lang is the language of the answer
			u.Lang, known = value, value == "en" || value == "ru"
		case "active":
			u.Active, known = value == "on", value == "on" || value == "off"
		case "parent":
			u.Parent = value
		case "home":
			u.Home = value
		case "uid", "gid":
			n, err := strconv.ParseUint(value, 10, 31)
			if err != nil {
				return badValue(name, value, "number")
			}
			if name == "uid" {
				u.UID = int(n)
			} else {
				u.GID = int(n)
			}
		case "ips":
			u.IPs = append([]string{}, words(value)...)
			for _, ip := range u.IPs {
				if have := c.params.serverIPs(); !slices.Contains(have, ip) {
					return badValue(name, ip, "addresses", strings.Join(have, ", "))
				}
			}
		default:
			if limit, ok := strings.CutPrefix(name, limitPrefix); ok && limitName.MatchString(limit) {
				if err := setLimit(u, limit, value); err != nil {
					return err
				}
			}
		}
		if !known {
			text := name
			if name == "active" {
				text = "flag"
			}
			return badValue(name, value, text)
		}
	}
	if u.Level == levelAdmin {
		u.Parent = ""
	}
	return nil
}

func setLimit(u *user, limit, value string) error {
	if value == "" || value == "-1" {
		delete(u.Limits, limit)
		return nil
	}
	n, err := strconv.ParseInt(value, 10, 64)
	if err != nil || n < 0 {
		return badValue(limitPrefix+limit, value, "number")
	}
	if u.Limits == nil {
		u.Limits = wire.Limits{}
	}
	u.Limits[limit] = n
	return nil
}

// checkPlace says whether next can stand where it is to stand among the users.
func (c *Core) checkPlace(old, next *user) error {
	if next.Level != levelAdmin {
		parent := c.users.find(next.Parent)
		if parent == nil || parent.Name == next.Name || rank(parent.Level) <= rank(next.Level) {
			return badValue("parent", next.Parent, "parent")
		}
	}
	if old == nil {
		return nil
	}
	if old.Level != next.Level && c.hasUsers(next.Name) {
		return badValue("level", next.Level, "children")
	}
	if old.Level == levelAdmin && old.Active && (next.Level != levelAdmin || !next.Active) && c.isLastAdmin(next.Name) {
		object := "level"
		if next.Level == levelAdmin {
			object = "active"
		}
		return badValue(object, "", "lastadmin")
	}
	return nil
}

func (c *Core) hasUsers(name string) bool {
	return len(c.users.query(wire.UsersQuery{Parent: name})) > 0
}

func (c *Core) isLastAdmin(name string) bool {
	return !slices.ContainsFunc(c.users.all(), func(u *user) bool {
		return u.Level == levelAdmin && u.Active && u.Name != name
	})
}
