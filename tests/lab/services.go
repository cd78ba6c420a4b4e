package lab

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
)

// Services are addresses and ports for people's programs. Submission and
// Submissions are Exim's, the others Dovecot's.
type Services struct {
	Submission  string // SMTP, TLS by STARTTLS
	Submissions string // SMTP, TLS from the start
	IMAP        string // TLS by STARTTLS, or none from this machine
	IMAPS       string
	POP3        string
	POP3S       string
	Sieve       string // ManageSieve
}

func (s *Services) all() []*string {
	return []*string{&s.Submission, &s.Submissions, &s.IMAP, &s.IMAPS, &s.POP3, &s.POP3S, &s.Sieve}
}

// Services are where the servers listen.
func (x *Exim) Services() Services {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.services
}

// pickAddresses takes the addresses that the options name, and free ports for the
// others.
func (x *Exim) pickAddresses() error {
	smtp := x.opts.Listen
	picked := x.opts.Services
	var held []net.Listener // until all are chosen, or one could be chosen twice
	var errs error
	for _, addr := range append([]*string{&smtp}, picked.all()...) {
		if *addr == "" {
			l, err := listenBelow("127.0.0.1")
			if err != nil {
				errs = errors.Join(errs, fmt.Errorf("find a free port: %w", err))
				break
			}
			held = append(held, l)
			*addr = l.Addr().String()
		}
		if _, err := netip.ParseAddrPort(*addr); err != nil {
			errs = errors.Join(errs, fmt.Errorf("read address to listen on: %w", err))
		}
	}
	for _, l := range held {
		errs = errors.Join(errs, l.Close())
	}
	if errs != nil {
		return errs
	}
	x.listen, x.services = netip.MustParseAddrPort(smtp), picked
	return nil
}

func port(addr string) uint16 { return netip.MustParseAddrPort(addr).Port() }
