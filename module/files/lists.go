package files

import (
	"path"

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
// address; d, a domain; their value is w or b. The keys that begin with n and m lead to
// the narrowest network around an address (networkKeys), m 4 and m 6 holding the levels
// of each family.
func (l Layout) ListFile(n mail.Name, listed []mail.Listed) File {
	f := File{Path: l.ListPath(n), Bare: true}
	if len(listed) == 0 {
		return f
	}
	pairs := map[string]string{}
	networks := map[string][]network{}
	for _, e := range listed {
		says := string(e.List[:1])
		switch p := e.Sender.Network(); {
		case e.Sender.Address() != "":
			pairs["a "+e.Sender.Address()] = says
		case !e.Sender.SenderDomain().IsZero():
			pairs["d "+e.Sender.SenderDomain().String()] = says
		case p.Addr().Is4():
			networks["m 4"] = append(networks["m 4"], network{Prefix: p, says: says})
		case p.IsValid():
			networks["m 6"] = append(networks["m 6"], network{Prefix: p, says: says})
		}
	}
	for family, of := range networks {
		keys, levels := networkKeys(of)
		pairs[family] = levels
		for _, k := range keys {
			pairs["n "+masked(k.Prefix)] = k.value
		}
	}
	f.Body, f.Mode, f.Group = cdb(pairs), 0o640, l.EximGroup
	return f
}
