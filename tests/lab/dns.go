package lab

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"strings"

	"golang.org/x/net/dns/dnsmessage"
)

// A Zone is all that a name server of the lab knows: for each name, lower case
// and without a final dot, its records as "MX 10 mail.b.test", "A 127.0.0.1" or
// "AAAA ::1", or "SERVFAIL" where the server is to fail. A name without records
// exists; one that is not in the zone does not.
type Zone map[string][]string

// DNS is a name server on a loopback address of its own, port 53, the one port
// that resolv.conf can name. Listening there needs root.
type DNS struct {
	conn *net.UDPConn
	zone map[string]answers
	done chan struct{}
}

type answers struct {
	fail    bool
	records []dnsmessage.ResourceBody
}

// ListenDNS starts a name server that answers from z.
func ListenDNS(z Zone) (*DNS, error) {
	zone, err := z.parse()
	if err != nil {
		return nil, err
	}
	conn, err := listen53()
	if err != nil {
		return nil, fmt.Errorf("start name server: %w", err)
	}
	d := &DNS{conn: conn, zone: zone, done: make(chan struct{})}
	go d.serve()
	return d, nil
}

// listen53 tries addresses of 127/8 until one is free.
func listen53() (*net.UDPConn, error) {
	var err error
	for range 20 {
		ip := net.IPv4(127, byte(1+rand.IntN(250)), byte(rand.IntN(256)), byte(1+rand.IntN(254)))
		var conn *net.UDPConn
		if conn, err = net.ListenUDP("udp4", &net.UDPAddr{IP: ip, Port: 53}); err == nil {
			return conn, nil
		}
	}
	return nil, err
}

// Addr is the server's IP address, for Options.DNS.
func (d *DNS) Addr() string { return d.conn.LocalAddr().(*net.UDPAddr).IP.String() }

// Close stops the server.
func (d *DNS) Close() error {
	err := d.conn.Close()
	<-d.done
	return err
}

func (d *DNS) serve() {
	defer close(d.done)
	buf := make([]byte, 4096)
	for {
		n, from, err := d.conn.ReadFromUDP(buf)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			continue // a client that went away
		}
		if reply, err := d.answer(buf[:n]); err == nil {
			_, _ = d.conn.WriteToUDP(reply, from) // UDP promises nothing
		}
	}
}

func (d *DNS) answer(query []byte) ([]byte, error) {
	var p dnsmessage.Parser
	h, err := p.Start(query)
	if err != nil {
		return nil, err
	}
	q, err := p.Question()
	if err != nil {
		return nil, err
	}
	known, exists := d.zone[strings.ToLower(strings.TrimSuffix(q.Name.String(), "."))]
	m := dnsmessage.Message{
		Header:    dnsmessage.Header{ID: h.ID, Response: true, RecursionDesired: h.RecursionDesired, RecursionAvailable: true},
		Questions: []dnsmessage.Question{q},
	}
	switch {
	case !exists:
		m.RCode = dnsmessage.RCodeNameError
	case known.fail:
		m.RCode = dnsmessage.RCodeServerFailure
	}
	for _, body := range known.records {
		if typeOf(body) == q.Type {
			head := dnsmessage.ResourceHeader{Name: q.Name, Class: q.Class, TTL: 1}
			m.Answers = append(m.Answers, dnsmessage.Resource{Header: head, Body: body})
		}
	}
	return m.Pack()
}

func typeOf(b dnsmessage.ResourceBody) dnsmessage.Type {
	switch b.(type) {
	case *dnsmessage.MXResource:
		return dnsmessage.TypeMX
	case *dnsmessage.AResource:
		return dnsmessage.TypeA
	case *dnsmessage.AAAAResource:
		return dnsmessage.TypeAAAA
	}
	return 0
}

func (z Zone) parse() (map[string]answers, error) {
	zone := map[string]answers{}
	for name, records := range z {
		var a answers
		for _, r := range records {
			if r == "SERVFAIL" {
				a.fail = true
				continue
			}
			body, err := parseRecord(r)
			if err != nil {
				return nil, fmt.Errorf("record %q of %s: %w", r, name, err)
			}
			a.records = append(a.records, body)
		}
		zone[name] = a
	}
	return zone, nil
}

func parseRecord(r string) (dnsmessage.ResourceBody, error) {
	kind, value, _ := strings.Cut(r, " ")
	switch kind {
	case "MX":
		var mx dnsmessage.MXResource
		var host string
		if _, err := fmt.Sscanf(value, "%d %s", &mx.Pref, &host); err != nil {
			return nil, err
		}
		var err error
		mx.MX, err = dnsmessage.NewName(strings.TrimSuffix(host, ".") + ".")
		return &mx, err
	case "A":
		ip, err := netip.ParseAddr(value)
		if err == nil && !ip.Is4() {
			err = errors.New("not an IPv4 address")
		}
		if err != nil {
			return nil, err
		}
		return &dnsmessage.AResource{A: ip.As4()}, nil
	case "AAAA":
		ip, err := netip.ParseAddr(value)
		if err != nil {
			return nil, err
		}
		return &dnsmessage.AAAAResource{AAAA: ip.As16()}, nil
	}
	return nil, errors.New("neither MX nor A nor AAAA")
}
