package module

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"time"

	"maildomain/module/mail"
)

// A FilterState is what a filter answered when it was asked last.
type FilterState string

// The states.
const (
	FilterOff      FilterState = "off"      // it is not used
	FilterUnasked  FilterState = "unasked"  // it is used, and nobody has asked it yet
	FilterAnswers  FilterState = "ok"       // it answers
	FilterDown     FilterState = "down"     // nobody listens where it should
	FilterSlow     FilterState = "slow"     // no answer in time
	FilterNonsense FilterState = "nonsense" // it says something else, or hangs up
)

// Fails says that letters are not judged by a filter in that state.
func (s FilterState) Fails() bool {
	return s == FilterDown || s == FilterSlow || s == FilterNonsense
}

// A filterQuestion is how a filter is asked whether it lives.
type filterQuestion struct {
	name     string
	addr     func(mail.Filters) mail.FilterAddr
	question string
	answers  func(line string) bool
}

// filterQuestions are those of each filter: what weighs most for the mail of a domain
// comes first.
var filterQuestions = []filterQuestion{
	{ // clamd(8)
		"clamd", func(f mail.Filters) mail.FilterAddr { return f.Clamd }, "nPING\n",
		func(line string) bool { return line == "PONG" },
	},
	{ // the protocol of spamd, spamd/PROTOCOL in SpamAssassin
		"spamd", func(f mail.Filters) mail.FilterAddr { return f.Spamd }, "PING SPAMC/1.2\r\n\r\n",
		func(line string) bool {
			words := strings.Fields(line)
			return len(words) == 3 && strings.HasPrefix(words[0], "SPAMD/") && words[1] == "0" && words[2] == "PONG"
		},
	},
	{ // SMTPD_POLICY_README of Postfix; about one letter of nobody's (RFC 2606, RFC 5737), the same each time
		"postgrey", func(f mail.Filters) mail.FilterAddr { return f.Postgrey },
		"request=smtpd_access_policy\nprotocol_state=RCPT\nprotocol_name=ESMTP\nsender=\n" +
			"recipient=postmaster@health.invalid\nclient_address=192.0.2.1\nclient_name=unknown\nhelo_name=health.invalid\n\n",
		func(line string) bool { return strings.HasPrefix(line, "action=") },
	},
}

// Bounds of a question.
const (
	filterWait   = 2 * time.Second
	filterAnswer = 512 // bytes of the first line
)

// ask asks the filter at an address.
func (q filterQuestion) ask(ctx context.Context, dial dialer, at mail.FilterAddr) FilterState {
	ctx, cancel := context.WithTimeout(ctx, filterWait)
	defer cancel()
	network, address := at.Dial()
	conn, err := dial(ctx, network, address)
	if late(err) {
		return FilterSlow
	}
	if err != nil {
		return FilterDown
	}
	defer func() { _ = conn.Close() }()
	if end, ok := ctx.Deadline(); ok {
		err = conn.SetDeadline(end)
	}
	if err == nil {
		_, err = io.WriteString(conn, q.question)
	}
	var line string
	if err == nil {
		line, err = bufio.NewReader(io.LimitReader(conn, filterAnswer)).ReadString('\n')
	}
	switch {
	case late(err):
		return FilterSlow
	case err != nil, !q.answers(strings.TrimRight(line, "\r\n")):
		return FilterNonsense
	}
	return FilterAnswers
}

func late(err error) bool {
	return errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, context.DeadlineExceeded)
}

// A dialer connects as net.Dialer does.
type dialer func(ctx context.Context, network, address string) (net.Conn, error)
