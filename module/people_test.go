package module

import (
	"context"
	"net/netip"
	"sync"

	"maildomain/module/mail"
)

// people are the users of a panel.
type people struct {
	mu     sync.Mutex
	users  map[string]mail.User
	params mail.Params
	fault  error             // of every question
	asked  func(name string) // before a user is looked up
}

func everyone() *people {
	one, two, six := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.2"), netip.MustParseAddr("2001:db8::1")
	p := &people{
		users:  map[string]mail.User{},
		params: mail.Params{MailHost: "mx.host.example", Forbidden: []string{"local", "bank.example"}, ServerIPs: []netip.Addr{one, two, six}},
	}
	for _, u := range []mail.User{
		{Name: "admin", Level: mail.LevelAdmin, IPs: []netip.Addr{one, two, six}},
		{Name: "reseller1", Level: mail.LevelReseller, Parent: "admin", IPs: []netip.Addr{one}},
		{Name: "reseller2", Level: mail.LevelReseller, Parent: "admin", IPs: []netip.Addr{one}},
		{Name: "user1", Level: mail.LevelUser, Parent: "reseller1", IPs: []netip.Addr{one, two, six}},
		{Name: "user2", Level: mail.LevelUser, Parent: "reseller1", IPs: []netip.Addr{one}},
		{Name: "user3", Level: mail.LevelUser, Parent: "admin", IPs: []netip.Addr{one}, Limits: map[string]int64{"emaildomains": 3, "ssl": 0}},
		{Name: "user4", Level: mail.LevelUser, Parent: "reseller2", IPs: []netip.Addr{one}},
	} {
		u.Active = true
		p.users[u.Name] = u
	}
	return p
}

func (p *people) panel() Panel {
	return Panel{
		User: func(_ context.Context, name string) (mail.User, bool, error) {
			if p.asked != nil {
				p.asked(name)
			}
			p.mu.Lock()
			defer p.mu.Unlock()
			u, found := p.users[name]
			return u, found, p.fault
		},
		UsersOf: func(_ context.Context, parent string) ([]mail.User, error) {
			p.mu.Lock()
			defer p.mu.Unlock()
			var of []mail.User
			for _, u := range p.users {
				if parent == "" || u.Parent == parent {
					of = append(of, u)
				}
			}
			return of, p.fault
		},
		Params: func(context.Context) (mail.Params, error) {
			p.mu.Lock()
			defer p.mu.Unlock()
			return p.params, p.fault
		},
	}
}

func (p *people) set(u mail.User) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.users[u.Name] = u
}

func (p *people) remove(name string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.users, name)
}

// as is an actor by the name of one of everyone.
func as(name string) Actor {
	u, found := everyone().users[name]
	if !found {
		panic("nobody is called " + name)
	}
	return Actor{User: name, Level: u.Level, Lang: "en"}
}

func (a Actor) request(id string) Actor {
	a.RequestID = id
	return a
}
