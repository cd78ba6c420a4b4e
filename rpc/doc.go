// Package rpc speaks with the panel core: JSON-RPC 2.0 over a Unix socket. Below,
// a stream and a server that outlive whatever the other side sends; above, the
// table of everything callable (methods.go) and the one place where errors become
// codes (error.go).
//
// README.md beside this file is the contract, for authors of panels.
package rpc
