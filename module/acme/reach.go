package acme

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"path"
	"strings"
	"syscall"
	"time"

	"maildomain/module/mail"
)

// The look at our own proof, as the authority will look: redirects to ports 80 and
// 443 are followed, certificates are not asked for (RFC 8555 section 8.3).
const (
	reachLimit    = 10 * time.Second
	mostRedirects = 10
	maxProof      = 1 << 10 // bytes
)

// Reach is for HTTP.Check: it fetches the proof from the name's web server before the
// authority does, whose failures count. What is certainly wrong is an error: the name
// leads nowhere, nobody listens, something else answers. That nothing came in time is
// none: behind some routers a server cannot reach itself by its public address. A
// nil dial is net.Dialer's.
func Reach(dial func(ctx context.Context, network, addr string) (net.Conn, error)) func(ctx context.Context, n mail.Name, token, keyAuthorization string) error {
	if dial == nil {
		dial = (&net.Dialer{}).DialContext
	}
	return func(ctx context.Context, n mail.Name, token, want string) error {
		ctx, cancel := context.WithTimeout(ctx, reachLimit)
		defer cancel()
		over := &http.Transport{DialContext: dial, DisableKeepAlives: true, TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, MaxResponseHeaderBytes: 64 << 10}
		defer over.CloseIdleConnections()
		c := http.Client{Transport: over, CheckRedirect: redirected}
		u := url.URL{Scheme: "http", Host: n.String(), Path: path.Join("/", challengeDir, token)}
		err := fetch(ctx, &c, u.String(), want)
		if err == nil || uncertain(err) {
			return nil
		}
		p := &Problem{Kind: NotHere, Name: n, Text: "acme_reach_other", Args: map[string]string{"name": n.Unicode(), "detail": ""}, Cause: &failure{"fetch the proof", err}}
		if dns, is := errors.AsType[*net.DNSError](err); is && dns.IsNotFound {
			p.Text = "acme_reach_nowhere"
		} else if errors.Is(err, syscall.ECONNREFUSED) {
			p.Text = "acme_reach_refused"
		} else if o, is := errors.AsType[*otherAnswer](err); is {
			p.Args["detail"] = o.said
		}
		return p
	}
}

func redirected(r *http.Request, via []*http.Request) error {
	if port := r.URL.Port(); len(via) > mostRedirects || port != "" && port != "80" && port != "443" {
		return errors.New("it redirects to where the authority does not follow")
	}
	return nil
}

// An otherAnswer is what a web server says that does not know the proof.
type otherAnswer struct{ said string }

func (o *otherAnswer) Error() string { return "it answers " + o.said }

func fetch(ctx context.Context, c *http.Client, address, want string) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return err
	}
	answer, err := c.Do(r)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return &otherAnswer{plain(answer.Status)}
	}
	got, err := io.ReadAll(io.LimitReader(answer.Body, maxProof))
	if err != nil {
		return err
	}
	if strings.TrimRight(string(got), " \t\r\n") != want {
		return &otherAnswer{fmt.Sprintf("something else, of %d bytes", len(got))}
	}
	return nil
}

// uncertain says that an error may be of our own place in the network.
func uncertain(err error) bool {
	if e, is := errors.AsType[net.Error](err); is && e.Timeout() {
		return true
	}
	dns, is := errors.AsType[*net.DNSError](err)
	return is && !dns.IsNotFound || errors.Is(err, syscall.EHOSTUNREACH) || errors.Is(err, syscall.ENETUNREACH) || errors.Is(err, context.Canceled)
}
