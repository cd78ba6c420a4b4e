package core

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/sourcegraph/jsonrpc2"

	"maildomain/rpc/wire"
)

const (
	maxChallenges = 1000      // of a module
	challengeAge  = time.Hour // after the last put; also what a module leaves that has gone
	maxKeyAuth    = 256
)

var (
	challengeToken = regexp.MustCompile(`^[A-Za-z0-9_-]{1,128}$`) // base64url (RFC 8555 section 8.3)
	thumbprint     = regexp.MustCompile(`^[A-Za-z0-9_-]+$`)       // the same (section 8.1)
)

// challenges is what the web server answers ACME servers with, by token. Tokens are
// not stored: a module puts them again when the panel was started anew.
type challenges struct {
	now func() time.Time

	mu      sync.Mutex
	byToken map[string]challenge
}

type challenge struct {
	keyAuth string
	module  *module // that put it; no other replaces or removes it
	until   time.Time
}

func newChallenges(now func() time.Time) *challenges {
	return &challenges{now: now, byToken: map[string]challenge{}}
}

var (
	errChallenges     = errors.New("too many challenges at once")
	errOtherChallenge = errors.New("token: another module has it")
)

// put has the web server answer token with keyAuth for module m.
func (c *challenges) put(m *module, token, keyAuth string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	now, count := c.now(), 0
	for t, ch := range c.byToken {
		switch {
		case !now.Before(ch.until):
			delete(c.byToken, t)
		case t == token && ch.module != m:
			return errOtherChallenge
		case t != token && ch.module == m:
			count++
		}
	}
	if count >= maxChallenges {
		return errChallenges
	}
	c.byToken[token] = challenge{keyAuth, m, now.Add(challengeAge)}
	return nil
}

func (c *challenges) remove(m *module, token string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.byToken[token].module == m {
		delete(c.byToken, token)
	}
}

// ChallengeAnswer returns what the web server answers to the ACME challenge token
// (RFC 8555 section 8.3), and whether it answers at all.
func (c *Core) ChallengeAnswer(token string) (keyAuth string, ok bool) {
	cs := c.challenges
	cs.mu.Lock()
	defer cs.mu.Unlock()
	ch, ok := cs.byToken[token]
	if !ok || !cs.now().Before(ch.until) {
		return "", false
	}
	return ch.keyAuth, true
}

// challenge serves core.http01.
func (c *conn) challenge(ctx context.Context, req *jsonrpc2.Request) {
	var w wire.HTTP01
	err := params(req, &w)
	if err == nil {
		err = checkChallenge(w)
	}
	if err != nil {
		c.reply(ctx, req, nil, invalidParams(err))
		return
	}
	if w.Op == wire.HTTP01Remove {
		c.module.core.challenges.remove(c.module, w.Token)
	} else {
		err = c.module.core.challenges.put(c.module, w.Token, w.KeyAuth)
	}
	switch {
	case errors.Is(err, errChallenges):
		c.reply(ctx, req, nil, &jsonrpc2.Error{Code: codeBusy, Message: err.Error()})
	case err != nil:
		c.reply(ctx, req, nil, invalidParams(err))
	default:
		c.reply(ctx, req, struct{}{}, nil)
	}
}

func checkChallenge(w wire.HTTP01) error {
	if !challengeToken.MatchString(w.Token) {
		return errors.New("token: base64url of at most 128 bytes")
	}
	switch w.Op {
	case wire.HTTP01Remove:
		return nil
	case wire.HTTP01Put:
		print, ok := strings.CutPrefix(w.KeyAuth, w.Token+".")
		if !ok || len(w.KeyAuth) > maxKeyAuth || !thumbprint.MatchString(print) {
			return fmt.Errorf("key_auth: the token, a dot and a thumbprint in base64url, at most %d bytes", maxKeyAuth)
		}
		return nil
	}
	return fmt.Errorf("op %.100q: neither put nor remove", w.Op)
}
