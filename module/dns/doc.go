// Package dns is the module's craft of DNS: it hands records over to an
// authoritative server (RFC 2136, signed by RFC 8945), and it asks what stands:
// every authoritative server of a name and the configured resolver. What a record
// is and what it means is package mail's; when to hand over and what to remember
// is the caller's.
package dns
