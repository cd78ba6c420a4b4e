package acme

import (
	"bytes"
	"context"
	"crypto/tls"
	"io"
	"log"
	"net/http"
	"strconv"
	"sync"
	"time"

	legolog "github.com/go-acme/lego/v4/log"
)

// Lego logs through a variable of its own: nonces that it tries again with, which
// is nobody's trouble. What goes wrong is in the errors.
func init() { legolog.Logger = log.New(io.Discard, "", 0) }

const (
	requestLimit = 30 * time.Second
	maxAnswer    = 1 << 20 // bytes; a chain has 6 KB
)

// A wire carries the requests of one call. Lego's have no context and leave
// answers open and unbounded: here each gets the call's context, and is read whole.
type wire struct {
	ctx  context.Context
	now  func() time.Time
	over *http.Transport

	mu     sync.Mutex
	status int       // of the last answer; 0: there was none
	again  time.Time // when it asked to be asked again
}

func newWire(ctx context.Context, d Directory) *wire {
	return &wire{ctx: ctx, now: d.now, over: &http.Transport{
		Proxy: http.ProxyFromEnvironment, DialContext: d.Dial,
		TLSClientConfig:     &tls.Config{RootCAs: d.Roots, MinVersion: tls.VersionTLS12},
		TLSHandshakeTimeout: requestLimit, ResponseHeaderTimeout: requestLimit,
		MaxResponseHeaderBytes: 64 << 10, MaxConnsPerHost: 2, ForceAttemptHTTP2: true,
	}}
}

func (w *wire) client() *http.Client { return &http.Client{Transport: w, Timeout: requestLimit} }

// close lets go of the connections.
func (w *wire) close() { w.over.CloseIdleConnections() }

// RoundTrip is http.RoundTripper's.
func (w *wire) RoundTrip(r *http.Request) (*http.Response, error) {
	w.saw(0, time.Time{})
	// The client's own context holds its time limit, the call's holds ours.
	ctx, cancel := context.WithCancelCause(r.Context())
	defer cancel(nil)
	defer context.AfterFunc(w.ctx, func() { cancel(context.Cause(w.ctx)) })()
	answer, err := w.over.RoundTrip(r.WithContext(ctx))
	if err != nil {
		return nil, err
	}
	body, err := io.ReadAll(io.LimitReader(answer.Body, maxAnswer))
	_ = answer.Body.Close() // it has been read
	if err != nil {
		return nil, err
	}
	answer.Body = io.NopCloser(bytes.NewReader(body))
	w.saw(answer.StatusCode, retryAfter(answer.Header, w.now()))
	return answer, nil
}

func (w *wire) saw(status int, again time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.status, w.again = status, again
}

// last is the status of the answer to the last request, 0 where there was none, and
// when it asked to be asked again; zero: it did not say.
func (w *wire) last() (status int, again time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.status, w.again
}

// longestWait bounds what an authority may ask for: more is a mistake of its own.
const longestWait = 31 * 24 * time.Hour

// retryAfter reads Retry-After: seconds or a date (RFC 9110 section 10.2.3).
func retryAfter(h http.Header, now time.Time) time.Time {
	v := h.Get("Retry-After")
	if v == "" {
		return time.Time{}
	}
	at, err := http.ParseTime(v)
	if err != nil {
		n, err := strconv.ParseUint(v, 10, 31)
		if err != nil {
			return time.Time{}
		}
		at = now.Add(time.Duration(n) * time.Second)
	}
	if latest := now.Add(longestWait); at.After(latest) {
		return latest
	}
	if at.Before(now) {
		return time.Time{}
	}
	return at.UTC()
}
