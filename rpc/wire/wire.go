// Package wire holds the messages that the panel core and the module send each
// other: JSON-RPC 2.0 over one Unix stream socket, one object a line, both ways
// at once. Both programs import it; it imports nothing of ours.
//
// rpc/README.md is the contract in words.
package wire

import "time"

// Protocol is the version of the contract that this package describes.
const Protocol = 1

// Bounds of one connection.
const (
	MaxMessage = 1 << 20 // bytes of one message, its line feed included
	MaxCalls   = 64      // calls at once; more are answered busy
	MaxUsers   = 1000    // users in one answer of core.users
)

// Methods that the core calls.
const (
	ModuleCall       = "module.call"       // Call → List, Form, OK or Report
	ModuleHealth     = "module.health"     // {} → Health
	ModuleCancel     = "module.cancel"     // notification: Cancel
	ModuleInvalidate = "module.invalidate" // notification: Invalidate
)

// Methods that the module calls.
const (
	CoreRegister     = "core.register"     // Register → Registered
	CoreUsers        = "core.users"        // UsersQuery → []User
	CoreParams       = "core.params"       // {} → Params
	CoreDNS          = "core.dns"          // DNS → []DNSOutcome
	CoreHTTP01       = "core.http01"       // HTTP01 → {}
	CoreCertificate  = "core.certificate"  // CertificateQuery → Certificate
	CoreCertificates = "core.certificates" // CertificatesQuery → []ListedCertificate
	CoreProgress     = "core.progress"     // notification: Progress
	CoreChanged      = "core.changed"      // notification: Changed
	CoreWake         = "core.wake"         // notification: Wake
)

// A Call asks for one function of the module on behalf of a session.
type Call struct {
	Func    string            `json:"func"`
	Params  map[string]string `json:"params"`
	Session Session           `json:"session"`
}

// A Session says who calls. The core has checked it; the module believes it,
// because it has checked the core (SO_PEERCRED).
type Session struct {
	User      string `json:"user"`
	Level     string `json:"level"`                // user, reseller, admin
	Lang      string `json:"lang"`                 // en, ru; anything else is taken for en
	SuBy      string `json:"su_by,omitempty"`      // the user behind "log in as"; empty for none
	RequestID string `json:"request_id,omitempty"` // names this call for repeats, cancel, progress and logs
	RemoteIP  string `json:"remote_ip,omitempty"`
}

// Cancel ends the running call of that id at its next safe point.
type Cancel struct {
	RequestID string `json:"request_id"`
}

// Invalidate tells the module to forget what it cached from the core.
type Invalidate struct {
	What string `json:"what"` // users, params, certificates, zones
}

// Health is how the module is.
type Health struct {
	Status          string         `json:"status"` // ok, degraded
	Version         string         `json:"version"`
	UptimeS         int64          `json:"uptime_s"`
	Domains         int64          `json:"domains"`
	Revision        int64          `json:"revision"`         // of the database
	AppliedRevision int64          `json:"applied_revision"` // of the published files
	Drift           int            `json:"drift"`            // files that differ, as of the last reconcile
	Queues          map[string]int `json:"queues"`

	// Filters are those that letters are put through, by name (postgrey, spamd, clamd):
	// ok; unasked, until a moment after the start; or degraded: down, slow, nonsense. None is
	// used: absent.
	Filters map[string]string `json:"filters,omitempty"`
}

// Kinds of result, in the field "kind" of every answer to module.call.
const (
	KindList   = "list"
	KindForm   = "form"
	KindOK     = "ok"
	KindReport = "report"
)

// A List is a page of rows.
type List struct {
	Kind    string              `json:"kind"`
	Elems   []map[string]string `json:"elems"`
	PElems  int64               `json:"p_elems"` // rows in all pages together, after the filter
	PNum    int                 `json:"p_num"`   // this page, from 1
	PCnt    int                 `json:"p_cnt"`   // rows a page
	PSort   string              `json:"p_sort"`
	POrder  string              `json:"p_order"` // asc, desc
	Filters []Filter            `json:"filters"`
}

// A Filter is one condition that the list was narrowed by.
type Filter struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// A Form is what a form shows before it is saved.
type Form struct {
	Kind   string              `json:"kind"`
	Values map[string]string   `json:"values"`
	SLists map[string][]Option `json:"slists"`
	Hidden []string            `json:"hidden"` // fields that are not to be shown
}

// An Option is one choice of a select.
type Option struct {
	Key   string `json:"key"`
	Label string `json:"label"`
}

// An OK says that the call did what it was asked.
type OK struct {
	Kind     string      `json:"kind"`
	ID       string      `json:"id,omitempty"`       // elid of the object
	Redirect *Redirect   `json:"redirect,omitempty"` // where a page goes next
	DNS      []DNSRecord `json:"dns,omitempty"`
	Notes    []Note      `json:"notes,omitempty"`
	Done     []Done      `json:"done,omitempty"`   // a group operation: one row an elid
	Filter   *SetFilter  `json:"filter,omitempty"` // the core is to keep it for the session
}

// A SetFilter asks the core to send these parameters with every call of Func in
// the session, and of Func+".filter", from now on; empty: no longer.
type SetFilter struct {
	Func   string            `json:"func"`
	Params map[string]string `json:"params"`
}

// A Report says how something is, or would be: values about the whole, and rows.
type Report struct {
	Kind   string              `json:"kind"`
	Values map[string]string   `json:"values"`
	Elems  []map[string]string `json:"elems"`
}

// A Redirect names the function that a page shows next.
type Redirect struct {
	Type string `json:"type"` // list, form, top, blank, url
	Func string `json:"func"`
}

// A DNSRecord is a record that a domain needs and whether it is published.
type DNSRecord struct {
	Name  string `json:"name"`
	Type  string `json:"type"`
	Value string `json:"value"`
	State string `json:"state"`
}

// A Note says what else is to be known of what was done: mostly what is still on its way.
type Note struct {
	Object string `json:"object"` // what it is about, such as a field
	State  string `json:"state"`  // done, pending, failed
	Said   string `json:"said"`   // a sentence in the session's language
}

// States of a Note.
const (
	NoteDone    = "done"
	NotePending = "pending"
	NoteFailed  = "failed"
)

// Done is what a group operation did with one object.
type Done struct {
	Elid  string     `json:"elid"`
	OK    bool       `json:"ok"`
	Error *ErrorData `json:"error,omitempty"`
}

// Result is any answer to module.call, for reading: Kind says which fields are filled.
type Result struct {
	Kind string `json:"kind"`

	Elems   []map[string]string `json:"elems"`
	PElems  int64               `json:"p_elems"`
	PNum    int                 `json:"p_num"`
	PCnt    int                 `json:"p_cnt"`
	PSort   string              `json:"p_sort"`
	POrder  string              `json:"p_order"`
	Filters []Filter            `json:"filters"`

	Values map[string]string   `json:"values"`
	SLists map[string][]Option `json:"slists"`
	Hidden []string            `json:"hidden"`

	ID       string      `json:"id"`
	Redirect *Redirect   `json:"redirect"`
	DNS      []DNSRecord `json:"dns"`
	Notes    []Note      `json:"notes"`
	Done     []Done      `json:"done"`
	Filter   *SetFilter  `json:"filter"`
}

// ErrorData is the data of a JSON-RPC error, the panel's error form.
type ErrorData struct {
	Type   string `json:"type"`   // value, missed, exists, access, limit, auth, busy, cancelled, unavailable, internal
	Object string `json:"object"` // a field, or what the error is about
	Value  string `json:"value"`  // the offending value, cut to 200 bytes
	Msg    string `json:"msg"`    // a sentence in the session's language
}

// Register makes the module known to the core.
type Register struct {
	Protocol  int        `json:"protocol"`
	Module    string     `json:"module"`
	Version   string     `json:"version"`
	Digest    string     `json:"digest"` // of functions and metadata: unchanged digest, unchanged registration
	Functions []Function `json:"functions"`
	Metadata  string     `json:"metadata"` // <mgrdata>…</mgrdata>
}

// A Function is one entry of the module's table.
type Function struct {
	Name  string `json:"name"`
	Kind  string `json:"kind"`  // list, form, group, action, report
	Level string `json:"level"` // the lowest level that may call it: user, reseller, admin
}

// Registered is the core's answer to Register.
type Registered struct {
	Protocol int  `json:"protocol"`
	Core     Core `json:"core"`
}

// Core names the panel core.
type Core struct {
	Name    string `json:"name"`
	Version string `json:"version"`
}

// UsersQuery asks for users, in the order of their names, at most MaxUsers an answer.
type UsersQuery struct {
	Names  []string `json:"names,omitempty"`  // these only
	Parent string   `json:"parent,omitempty"` // users of this reseller only
	After  string   `json:"after,omitempty"`  // names after this one: the next answer
}

// A User of the panel.
type User struct {
	Name   string   `json:"name"`
	Level  string   `json:"level"`  // user, reseller, admin
	Parent string   `json:"parent"` // the reseller or administrator that the user belongs to
	Active bool     `json:"active"`
	UID    int      `json:"uid"`
	GID    int      `json:"gid"`
	Home   string   `json:"home"`
	IPs    []string `json:"ips"`    // addresses that the user may use
	Limits Limits   `json:"limits"` // absent or -1: none
	Lang   string   `json:"lang"`
}

// Limits of a user by name: emaildomains, emails, email_quota, ssl.
type Limits map[string]int64

// Params are the server's settings that the module needs.
type Params struct {
	MailHost         string   `json:"mail_host"`
	ServerIPs        []string `json:"server_ips"`
	Nameservers      []string `json:"nameservers"`
	DMARCTemplate    string   `json:"dmarc_template"`
	ForbiddenDomains []string `json:"forbidden_domains"`
}

// Progress of a long call.
type Progress struct {
	RequestID string `json:"request_id"`
	Done      int    `json:"done"`
	Total     int    `json:"total"`
	Text      string `json:"text"`
}

// Changed tells the core that rows changed which people may be looking at.
type Changed struct {
	Func  string   `json:"func"`
	Elids []string `json:"elids"`
}

// Wake asks the core to connect at an instant: the module is about to end, and has
// something to do then. It takes the place of what the module asked for before.
type Wake struct {
	At time.Time `json:"at"` // RFC 3339; the zero time: never mind
}
