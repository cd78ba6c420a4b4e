package files

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/textproto"
	"slices"
	"strings"
)

// A dialogue is what a client says at a port before TLS, and how it takes its leave.
type dialogue struct {
	begin func(net.Conn) error // returns when the handshake may begin; nil: at once
	leave func(io.ReadWriter)  // so that the server's log tells of no accident
}

var dialogues = map[Service]dialogue{
	ServiceSMTP:        {beginSMTP, say("QUIT")},
	ServiceSubmission:  {beginSMTP, say("QUIT")},
	ServiceSubmissions: {nil, greetedThen("QUIT")},
	ServiceIMAP:        {beginIMAP, say("c LOGOUT")},
	ServiceIMAPS:       {nil, greetedThen("a LOGOUT")},
	ServicePOP3:        {beginPOP3, say("QUIT")},
	ServicePOP3S:       {nil, greetedThen("QUIT")},
}

// spokenMost bounds what a server may say before TLS: Dovecot says 300 bytes, and
// Exim 400.
const spokenMost = 16 << 10

// A talk is a dialogue in lines, of which a bounded number of bytes is read.
type talk struct {
	r    *bufio.Reader
	text *textproto.Reader
	w    io.Writer
}

func newTalk(c io.ReadWriter) talk {
	r := bufio.NewReader(io.LimitReader(c, spokenMost))
	return talk{r, textproto.NewReader(r), c}
}

func (t talk) say(line string) error {
	_, err := io.WriteString(t.w, line+"\r\n")
	return err
}

// ready says that TLS may begin: what came before it in the clear is not from the
// server for sure, and not to be taken for the handshake (RFC 3207 section 6).
func (t talk) ready() error {
	if t.r.Buffered() > 0 {
		return errors.New("it goes on speaking before TLS has begun")
	}
	return nil
}

func beginSMTP(c net.Conn) error {
	t := newTalk(c)
	if _, _, err := t.text.ReadResponse(220); err != nil {
		return unexpected("its greeting", err) // also 421: Exim puts everybody off
	}
	if err := t.say("EHLO " + literal(c.LocalAddr())); err != nil {
		return err
	}
	_, offers, err := t.text.ReadResponse(250)
	if err != nil {
		return unexpected("its answer to EHLO", err)
	}
	if !slices.ContainsFunc(strings.Split(offers, "\n"), func(l string) bool { return strings.EqualFold(strings.TrimSpace(l), "STARTTLS") }) {
		return ErrNoTLS
	}
	if err := t.say("STARTTLS"); err != nil {
		return err
	}
	if _, _, err := t.text.ReadResponse(220); err != nil {
		return refused("STARTTLS", err)
	}
	return t.ready()
}

// literal is who speaks: an address, for this client has no name (RFC 5321 section 4.1.3).
func literal(a net.Addr) string {
	tcp, is := a.(*net.TCPAddr)
	switch {
	case !is:
		return "[127.0.0.1]"
	case tcp.IP.To4() != nil:
		return "[" + tcp.IP.String() + "]"
	}
	return "[IPv6:" + tcp.IP.String() + "]"
}

func beginIMAP(c net.Conn) error {
	t := newTalk(c)
	greeting, err := t.text.ReadLine()
	if err != nil {
		return unexpected("its greeting", err)
	}
	if !strings.HasPrefix(strings.ToUpper(greeting), "* OK") {
		return unexpected("its greeting", said(greeting))
	}
	offers, err := t.tagged("a", "CAPABILITY")
	if err != nil {
		return unexpected("its answer to CAPABILITY", err)
	}
	if !slices.ContainsFunc(offers, func(l string) bool {
		return strings.HasPrefix(l, "* CAPABILITY ") && slices.Contains(strings.Fields(l), "STARTTLS")
	}) {
		return ErrNoTLS
	}
	if _, err := t.tagged("b", "STARTTLS"); err != nil {
		return refused("STARTTLS", err)
	}
	return t.ready()
}

// tagged carries an IMAP command out, and returns what came before its answer, in
// upper case.
func (t talk) tagged(tag, command string) (lines []string, err error) {
	if err := t.say(tag + " " + command); err != nil {
		return nil, err
	}
	for {
		line, err := t.text.ReadLine()
		if err != nil {
			return nil, err
		}
		upper := strings.ToUpper(line)
		switch {
		case strings.HasPrefix(upper, "* BYE"):
			return nil, said(line)
		case strings.HasPrefix(line, "* "):
			lines = append(lines, upper)
		case strings.HasPrefix(upper, strings.ToUpper(tag)+" OK"):
			return lines, nil
		case strings.HasPrefix(line, tag+" "):
			return nil, no(line)
		default:
			return nil, said(line)
		}
	}
}

func beginPOP3(c net.Conn) error {
	t := newTalk(c)
	if err := t.positive(); err != nil {
		return unexpected("its greeting", err)
	}
	if err := t.say("CAPA"); err != nil {
		return err
	}
	if err := t.positive(); err != nil {
		return unexpected("its answer to CAPA", err)
	}
	offers, err := t.text.ReadDotLines()
	if err != nil {
		return unexpected("its answer to CAPA", err)
	}
	if !slices.ContainsFunc(offers, func(l string) bool { return strings.EqualFold(strings.TrimSpace(l), "STLS") }) {
		return ErrNoTLS
	}
	if err := t.say("STLS"); err != nil {
		return err
	}
	if err := t.positive(); err != nil {
		return refused("STLS", err)
	}
	return t.ready()
}

// positive reads the first line of POP3's answer.
func (t talk) positive() error {
	line, err := t.text.ReadLine()
	switch {
	case err != nil:
		return err
	case strings.HasPrefix(line, "+OK"):
		return nil
	case strings.HasPrefix(line, "-ERR"):
		return no(line)
	}
	return said(line)
}

// said is a line that is no answer to what was asked; no is one that refuses.
type (
	said string
	no   string
)

func (s said) Error() string { return fmt.Sprintf("it says %.100q", string(s)) }
func (n no) Error() string   { return fmt.Sprintf("it says %.100q", string(n)) }

// unexpected is a server that cannot be asked: busy, put off, or something else
// than a mail server.
func unexpected(what string, err error) error {
	if errors.Is(err, io.EOF) {
		err = errors.New("it hangs up, or says no end of things")
	}
	if e, is := errors.AsType[*textproto.Error](err); is {
		err = said(fmt.Sprintf("%d %s", e.Code, e.Msg))
	}
	return fmt.Errorf("%s: %w", what, err)
}

// refused is a server that offers TLS and does not begin it: it misses the
// certificate or the key.
func refused(command string, err error) error {
	e, smtp := errors.AsType[*textproto.Error](err)
	if _, is := errors.AsType[no](err); is || smtp && e.Code != 421 {
		if smtp {
			err = said(fmt.Sprintf("%d %s", e.Code, e.Msg))
		}
		return fmt.Errorf("%w: to %s %w", ErrHandshake, command, err)
	}
	return unexpected("its answer to "+command, err)
}

// say takes leave where it is our turn to speak; greetedThen where the greeting
// comes first. That nobody listens any more is nobody's concern.
func say(line string) func(io.ReadWriter) {
	return func(c io.ReadWriter) { _ = newTalk(c).say(line) }
}

func greetedThen(line string) func(io.ReadWriter) {
	return func(c io.ReadWriter) {
		t := newTalk(c)
		for {
			l, err := t.text.ReadLine()
			if err != nil {
				return
			}
			if !strings.HasPrefix(l, "220-") { // further lines follow
				break
			}
		}
		_ = t.say(line)
	}
}
