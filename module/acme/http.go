package acme

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"sync"

	"golang.org/x/sync/errgroup"

	"maildomain/module/mail"
)

// HTTP proves by a file at http://NAME/.well-known/acme-challenge/TOKEN that holds
// the key authorization (http-01, RFC 8555 section 8.3).
type HTTP struct {
	Put    func(ctx context.Context, token, keyAuthorization string) error
	Remove func(ctx context.Context, token string) error // may be called for what was never put
	// Check looks at the proof before the authority is asked to, and errs where that
	// would fail: see Reach. Nil: nobody looks.
	Check func(ctx context.Context, n mail.Name, token, keyAuthorization string) error
}

func (h HTTP) method() string                             { return "http-01" }
func (h HTTP) put(ctx context.Context, p *proof) error    { return h.Put(ctx, p.token, p.keyAuth) }
func (h HTTP) remove(ctx context.Context, p *proof) error { return h.Remove(ctx, p.token) }

// Shows looks at one proof under each of these names.
func (h HTTP) Shows(ctx context.Context, names []mail.Name, token, keyAuthorization string) error {
	ps := make([]*proof, len(names))
	for i, n := range names {
		ps[i] = &proof{name: n, token: token, keyAuth: keyAuthorization}
	}
	return h.shown(ctx, ps)
}

// How many proofs are looked at together, and for how long at all of them: of what was
// not seen by then nobody knows.
const (
	looksAtOnce = 16
	looksLimit  = 2 * reachLimit
)

func (h HTTP) shown(ctx context.Context, ps []*proof) error {
	if h.Check == nil {
		return ctx.Err()
	}
	limited, cancel := context.WithTimeout(ctx, looksLimit)
	defer cancel()
	var g errgroup.Group
	g.SetLimit(looksAtOnce)
	for _, p := range ps {
		g.Go(func() error {
			if limited.Err() != nil {
				return nil
			}
			err := h.Check(limited, p.name, p.token, p.keyAuth)
			if err != nil {
				cancel() // one is enough
			}
			return err
		})
	}
	return errors.Join(g.Wait(), ctx.Err())
}

// challengeDir is where the files of http-01 stand below a web root.
const challengeDir = ".well-known/acme-challenge"

// WebRoot puts the files below a web server's directory, readable by everybody, and
// takes away with the last one the directories that it made.
func WebRoot(root *os.Root) HTTP {
	w := &webRoot{root: root}
	return HTTP{Put: w.put, Remove: w.remove}
}

type webRoot struct {
	root *os.Root

	mu   sync.Mutex
	made []string // innermost first
}

func (w *webRoot) put(_ context.Context, token, text string) (err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, dir := range []string{path.Dir(challengeDir), challengeDir} {
		switch err := w.root.Mkdir(dir, 0o755); {
		case err == nil:
			w.made = append([]string{dir}, w.made...)
		case !errors.Is(err, fs.ErrExist):
			return fmt.Errorf("make the directory of proofs: %w", err)
		}
	}
	name := path.Join(challengeDir, token)
	// A link that a user of the web server left there is not written through.
	if err := w.root.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("write the proof: %w", err)
	}
	f, err := w.root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return fmt.Errorf("write the proof: %w", err)
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	_, err = f.WriteString(text)
	return err
}

func (w *webRoot) remove(_ context.Context, token string) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if err := w.root.Remove(path.Join(challengeDir, token)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove the proof: %w", err)
	}
	for len(w.made) > 0 && w.root.Remove(w.made[0]) == nil { // not empty: the last one does it
		w.made = w.made[1:]
	}
	return nil
}
