package wire

// DNS hands records of a mail domain over to the core, which serves them if it
// serves a zone that they are in.
type DNS struct {
	Zone    string      `json:"zone"`   // the mail domain; the core finds the zone that it lies in
	Owner   string      `json:"owner"`  // the user whose mail domain it is; empty: the server's own
	Module  string      `json:"module"` // whose records these are
	Changes []DNSChange `json:"changes"`
}

// Operations of a DNSChange.
const (
	DNSPut    = "put"    // the module's record set is to be these values; repeating it changes nothing
	DNSRemove = "remove" // the module has no record set there any more
)

// A DNSChange is about the module's own record set at one name and type. What
// others have at the same name stays.
type DNSChange struct {
	Op     string   `json:"op"`
	Name   string   `json:"name"`             // A-labels and underscores, without the final dot
	Type   string   `json:"type"`             // A, AAAA, MX, TXT
	TTL    uint32   `json:"ttl"`              // seconds
	Values []string `json:"values,omitempty"` // MX: "10 mail.example.com"; TXT: the joined text, unquoted
}

// States of a DNSOutcome.
const (
	DNSPublished = "published"
	DNSPending   = "pending" // the core has it and is still to pass it on to its name server
	DNSNoZone    = "no_zone"
	DNSRefused   = "refused"
	DNSConflict  = "conflict" // what somebody else has there would do harm beside these values
)

// A DNSOutcome is what became of a DNSChange, in their order.
type DNSOutcome struct {
	Name   string   `json:"name"`
	Type   string   `json:"type"`
	State  string   `json:"state"`
	Reason string   `json:"reason,omitempty"`
	Others []string `json:"others,omitempty"` // values of others at that name and type
}

// Operations of an HTTP01.
const (
	HTTP01Put    = "put"    // the web server is to answer; repeating it answers for longer
	HTTP01Remove = "remove" // it is to answer no more; also when it did not
)

// An HTTP01 has the core's web server answer an ACME challenge (RFC 8555 section
// 8.3): KeyAuth at /.well-known/acme-challenge/TOKEN, for an hour at most.
type HTTP01 struct {
	Op      string `json:"op"`
	Token   string `json:"token"`              // base64url without padding, at most 128 bytes
	KeyAuth string `json:"key_auth,omitempty"` // the token, a dot and the thumbprint of the account's key (section 8.1), at most 256 bytes
}

// A CertificateQuery asks for a certificate that a user has in the panel.
type CertificateQuery struct {
	Owner string `json:"owner"`
	Name  string `json:"name"` // what the owner calls it
}

// A Certificate is one with its private key. The key is for no log and no answer.
type Certificate struct {
	ChainPEM string `json:"chain_pem"` // the certificate, then each that issued the one before it
	KeyPEM   string `json:"key_pem"`   // PKCS #8, not encrypted; the certificate's own
}

// Bounds of an answer to a CertificatesQuery, which keep it within a message.
const (
	MaxCertificates     = 200
	MaxCertificateNames = 16 // of each: the first
)

// A CertificatesQuery asks which certificates a user has in the panel, in the order
// of their names, at most MaxCertificates an answer.
type CertificatesQuery struct {
	Owner string `json:"owner"`
	After string `json:"after,omitempty"` // names after this one: the next answer
}

// A ListedCertificate is one that can be asked for by its name.
type ListedCertificate struct {
	Name   string   `json:"name"`   // what the owner calls it
	Names  []string `json:"names"`  // hosts that it is for, at most MaxCertificateNames
	Expire string   `json:"expire"` // RFC 3339
}
