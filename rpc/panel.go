package rpc

import (
	"context"
	"fmt"
	"net/netip"

	"maildomain/module"
	"maildomain/module/mail"
	"maildomain/rpc/wire"
)

// PanelOf is the core as the module asks it.
func PanelOf(k *Core) module.Panel {
	return module.Panel{
		DNS:          k.DNS,
		Certificate:  k.Certificate,
		Certificates: k.Certificates,
		HTTP01:       k.HTTP01,
		Wake:         k.Wake,
		Progress: func(ctx context.Context, requestID string, done, total int) {
			// A core that is not there to be told has not lost anything by it.
			_ = k.Progress(ctx, wire.Progress{RequestID: requestID, Done: done, Total: total})
		},
		User: func(ctx context.Context, name string) (mail.User, bool, error) {
			u, found, err := k.User(ctx, name)
			if err != nil || !found {
				return mail.User{}, false, err
			}
			m, err := userOf(u)
			return m, err == nil, err
		},
		UsersOf: func(ctx context.Context, parent string) ([]mail.User, error) {
			var all []mail.User
			for after := ""; ; {
				us, err := k.Users(ctx, wire.UsersQuery{Parent: parent, After: after})
				if err != nil {
					return nil, err
				}
				for _, u := range us {
					m, err := userOf(u)
					if err != nil {
						return nil, err
					}
					all = append(all, m)
				}
				if len(us) < wire.MaxUsers {
					return all, nil
				}
				after = us[len(us)-1].Name
			}
		},
		Params: func(ctx context.Context) (mail.Params, error) {
			p, err := k.Params(ctx)
			if err != nil {
				return mail.Params{}, err
			}
			ips, err := addresses(p.ServerIPs)
			return mail.Params{MailHost: p.MailHost, Forbidden: p.ForbiddenDomains, ServerIPs: ips, DMARCTemplate: p.DMARCTemplate}, err
		},
	}
}

func userOf(u wire.User) (mail.User, error) {
	ips, err := addresses(u.IPs)
	if err != nil {
		return mail.User{}, fmt.Errorf("user %s of the core: %w", u.Name, err)
	}
	return mail.User{Name: u.Name, Level: mail.Level(u.Level), Parent: u.Parent, Active: u.Active, IPs: ips, Limits: u.Limits}, nil
}

func addresses(ss []string) ([]netip.Addr, error) {
	as := make([]netip.Addr, len(ss))
	for i, s := range ss {
		a, err := netip.ParseAddr(s)
		if err != nil {
			return nil, fmt.Errorf("read an address of the core's: %w", err)
		}
		as[i] = a.Unmap()
	}
	return as, nil
}
