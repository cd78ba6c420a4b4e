// Package acme is the module's craft of certificates from an authority that speaks
// ACME (RFC 8555): accounts, orders that go on where they were cut off, the proof
// of control over HTTP and DNS, when to renew (RFC 9773), and whether the DNS lets
// the authority issue at all (RFC 8659). What is to be remembered of an account or
// an order is handed to the caller, who keeps it; nothing here does.
//
// It builds on the part of lego that speaks the protocol. Lego's own loop has no
// contexts, begins a new order each time, and asks the resolvers of the process.
package acme
