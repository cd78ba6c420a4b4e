// Package api serves the panel's one address, /ispmgr: it reads a call from HTTP,
// finds out who calls, has the core do it, and writes the answer as XML, JSON,
// simple JSON or text. cmd/panelcore/README.md describes the forms.
package api

import (
	"context"
	stdlog "log"
	"net"
	"net/http"
	"time"

	"github.com/rs/zerolog"
	"golang.org/x/sys/unix"

	"maildomain/cmd/panelcore/core"
)

// Path is where the panel answers.
const Path = "/ispmgr"

const maxRequest = 1 << 20 // bytes of a form, and of a request's head

// New returns a server for people and scripts: each call proves who makes it.
func New(c *core.Core, log zerolog.Logger) *http.Server {
	return server(&endpoint{core: c, log: log, identify: byCredentials}, log)
}

func server(e *endpoint, log zerolog.Logger) *http.Server {
	mux := http.NewServeMux()
	mux.Handle(Path, e)
	return &http.Server{
		Handler:           mux,
		ReadHeaderTimeout: 10 * time.Second,
		ReadTimeout:       30 * time.Second,
		WriteTimeout:      90 * time.Second, // a call takes a minute at most, after waiting for its turn
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    maxRequest,
		ErrorLog:          stdlog.New(log.With().Str("part", "http").Logger(), "", 0),
	}
}

// UserHeader names the user of a call on the control socket.
const UserHeader = "X-Panel-User"

// ResultHeader says in one word what an answer is: list, form, ok, report, auth,
// or error, also where only some of several objects failed.
const ResultHeader = "X-Panel-Result"

func byHeader(_ context.Context, c *core.Core, q *query) (core.Caller, error) {
	return c.LocalUser(q.localUser)
}

// Local returns a listener on which only root and uid get through: the operating
// system says who is at the other end (unix(7), SO_PEERCRED).
func Local(l net.Listener, uid int, log zerolog.Logger) net.Listener {
	return &localListener{Listener: l, uid: uint32(uid), log: log}
}

type localListener struct {
	net.Listener
	uid uint32
	log zerolog.Logger
}

// Accept returns the next connection of a user who may.
func (l *localListener) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		uid, err := peer(c)
		if err == nil && (uid == 0 || uid == l.uid) {
			return c, nil
		}
		l.log.Warn().Err(err).Uint32("uid", uid).Msg("control socket: refused")
		c.Close()
	}
}

// peer returns the user id of the process at the other end.
func peer(c net.Conn) (uint32, error) {
	raw, err := c.(*net.UnixConn).SyscallConn()
	if err != nil {
		return 0, err
	}
	var cred *unix.Ucred
	var credErr error
	if err := raw.Control(func(fd uintptr) { cred, credErr = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED) }); err != nil {
		return 0, err
	}
	if credErr != nil {
		return 0, credErr
	}
	return cred.Uid, nil
}
