package files

import (
	"fmt"
	"net/netip"
	"path"
	"slices"
	"strconv"
	"strings"

	"maildomain/module/mail"
)

// Lists is the directory of white and black lists: one cdb a mail domain, and one of
// the server, which is named as no domain can be.
func (l Layout) Lists() string { return path.Join(l.Exim, listsDir) }

const (
	listsDir   = "lists"
	serverList = "server"
)

// ListPath is where the list of a mail domain stands, or with the zero name that of
// the server.
func (l Layout) ListPath(n mail.Name) string {
	if n.IsZero() {
		return path.Join(l.Lists(), serverList)
	}
	return path.Join(l.Lists(), n.String())
}

// ListFile is the white and the black list of a mail domain, or with the zero name
// those of the server; no file for none. The first word of a key says what it is: a, an
// address; d, a domain; n, a network. Its value is w or b. The keys "m 4" and "m 6" have
// the lengths of the networks, the longest first.
func (l Layout) ListFile(n mail.Name, listed []mail.Listed) File {
	f := File{Path: l.ListPath(n), Bare: true}
	if len(listed) == 0 {
		return f
	}
	pairs := map[string]string{}
	lengths := map[string][]int{}
	for _, e := range listed {
		key := ""
		switch p := e.Sender.Network(); {
		case e.Sender.Address() != "":
			key = "a " + e.Sender.Address()
		case !e.Sender.SenderDomain().IsZero():
			key = "d " + e.Sender.SenderDomain().String()
		case p.IsValid():
			key = "n " + masked(p)
			family := "m 6"
			if p.Addr().Is4() {
				family = "m 4"
			}
			if !slices.Contains(lengths[family], p.Bits()) {
				lengths[family] = append(lengths[family], p.Bits())
			}
		default:
			continue
		}
		pairs[key] = string(e.List[:1])
	}
	for family, ls := range lengths {
		slices.SortFunc(ls, func(a, b int) int { return b - a })
		words := make([]string, len(ls))
		for i, n := range ls {
			words[i] = strconv.Itoa(n)
		}
		pairs[family] = strings.Join(words, ";")
	}
	f.Body, f.Mode, f.Group = cdb(pairs), 0o640, l.EximGroup
	return f
}

// masked is a network as Exim's operator mask writes it (Exim specification, section
// 11.7): of IPv6 all eight groups, with dots between.
func masked(p netip.Prefix) string {
	if p.Addr().Is4() {
		return p.String()
	}
	b := p.Addr().As16()
	groups := make([]string, 8)
	for i := range groups {
		groups[i] = fmt.Sprintf("%02x%02x", b[2*i], b[2*i+1])
	}
	return strings.Join(groups, ".") + "/" + strconv.Itoa(p.Bits())
}
