package lab

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/textproto"
	"strings"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"
)

// IMAP logs in over IMAPS. The caller closes the client.
func (x *Exim) IMAP(ctx context.Context, login, password string) (*imapclient.Client, error) {
	conn, err := x.dialTLS(ctx, x.Services().IMAPS)
	if err != nil {
		return nil, err
	}
	c := imapclient.New(conn, nil)
	if err := c.Login(login, password).Wait(); err != nil {
		return nil, errors.Join(fmt.Errorf("log in over IMAPS: %w", err), c.Close())
	}
	return c, nil
}

// Letters are the letters in a folder of a box, whole and in order, over IMAPS.
func (x *Exim) Letters(ctx context.Context, login, password, folder string) (letters []string, err error) {
	c, err := x.IMAP(ctx, login, password)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, c.Logout().Wait(), c.Close()) }()
	box, err := c.Select(folder, &imap.SelectOptions{ReadOnly: true}).Wait()
	if err != nil || box.NumMessages == 0 {
		return nil, err
	}
	all := imap.SeqSet{}
	all.AddRange(1, box.NumMessages)
	whole := &imap.FetchItemBodySection{Peek: true}
	found, err := c.Fetch(all, &imap.FetchOptions{BodySection: []*imap.FetchItemBodySection{whole}}).Collect()
	if err != nil {
		return nil, err
	}
	for _, m := range found {
		letters = append(letters, string(m.FindBodySection(whole)))
	}
	return letters, nil
}

// WaitLetters is Letters of the INBOX, with the usual password, as soon as there are
// n of them.
func (x *Exim) WaitLetters(ctx context.Context, login string, n int) ([]string, error) {
	for {
		letters, err := x.Letters(ctx, login, Secret, "INBOX")
		if err != nil || len(letters) >= n {
			return letters, err
		}
		select {
		case <-ctx.Done():
			return letters, fmt.Errorf("wait for %d letters of %s, there are %d: %w", n, login, len(letters), ctx.Err())
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// POP3 is every letter in a box, over POP3S.
func (x *Exim) POP3(ctx context.Context, login, password string) (letters []string, err error) {
	conn, err := x.dialTLS(ctx, x.Services().POP3S)
	if err != nil {
		return nil, err
	}
	defer func() { _ = conn.Close() }()
	p := pop3{textproto.NewConn(conn)}
	if _, err := p.answer(); err != nil {
		return nil, err
	}
	for _, command := range []string{"USER " + login, "PASS " + password} {
		if _, err := p.command(command); err != nil {
			return nil, fmt.Errorf("log in over POP3S: %w", err)
		}
	}
	stat, err := p.command("STAT")
	if err != nil {
		return nil, err
	}
	var n, size int
	if _, err := fmt.Sscanf(stat, "+OK %d %d", &n, &size); err != nil {
		return nil, fmt.Errorf("read %q: %w", stat, err)
	}
	for i := range n {
		if _, err := p.command(fmt.Sprintf("RETR %d", i+1)); err != nil {
			return nil, err
		}
		text, err := io.ReadAll(p.DotReader())
		if err != nil {
			return nil, err
		}
		letters = append(letters, string(text))
	}
	_, err = p.command("QUIT")
	return letters, err
}

// pop3 is a session of POP3 (RFC 1939).
type pop3 struct{ *textproto.Conn }

func (p pop3) command(line string) (string, error) {
	if err := p.PrintfLine("%s", line); err != nil {
		return "", err
	}
	return p.answer()
}

func (p pop3) answer() (string, error) {
	line, err := p.ReadLine()
	if err == nil && !strings.HasPrefix(line, "+OK") {
		err = errors.New(line)
	}
	return line, err
}

func (x *Exim) dialTLS(ctx context.Context, addr string) (net.Conn, error) {
	c, err := x.TLS()
	if err != nil {
		return nil, err
	}
	conn, err := (&tls.Dialer{Config: c}).DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	limit := time.Now().Add(sessionLimit)
	if d, ok := ctx.Deadline(); ok && d.Before(limit) {
		limit = d
	}
	return conn, conn.SetDeadline(limit)
}
