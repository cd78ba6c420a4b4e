package rpc

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"
	"github.com/sourcegraph/jsonrpc2"

	"maildomain/rpc/wire"
)

const (
	lineBuffer  = 16 << 10         // bytes; what most lines fit in
	maxBadLines = 32               // one after another; then the connection ends
	lineLimit   = 30 * time.Second // for the rest of a line whose beginning has come
)

var (
	errTooLong     = errors.New("message too long")
	errTooManyBad  = errors.New("too many bad lines")
	errTooLongSent = fmt.Errorf("message of more than %d bytes not sent", wire.MaxMessage)
)

// A stream is the messages of one connection, one JSON object a line.
//
// Requests of the core go to request. Its answers to ours go to jsonrpc2, which
// keeps the calls that wait for them: it could read requests too, but would decode
// and encode their params twice more on the path of every call, lose some ids, and
// hang up on a line that is no message. Here such a line is answered and the next
// one read: a slip of the peer's does not cost it the calls that are under way.
// Only a line beyond wire.MaxMessage, or maxBadLines in a row, end the connection.
type stream struct {
	nc         net.Conn
	log        zerolog.Logger
	writeLimit time.Duration // for one message; a peer that does not read is cut off
	request    func(*request)
	ended      func(error) // called when nothing more will be read, before ReadObject says so

	r       *bufio.Reader
	long    []byte      // the line that did not fit the reader's buffer
	bad     int         // bad lines since the last good one
	between atomic.Bool // waiting for the first byte of a line

	writing sync.Mutex
	broken  error // of an earlier write, which may have left half a line behind
}

var _ jsonrpc2.ObjectStream = (*stream)(nil)

func newStream(nc net.Conn, log zerolog.Logger, writeLimit time.Duration) *stream {
	return &stream{nc: nc, log: log, writeLimit: writeLimit, r: bufio.NewReaderSize(nc, lineBuffer)}
}

// ReadObject reads up to the next answer of the core's, decodes it into v, and
// passes requests on the way to s.request.
func (s *stream) ReadObject(v any) error {
	answer, err := s.nextAnswer()
	if err == nil {
		return json.Unmarshal(answer, v)
	}
	if errors.Is(err, errTooLong) {
		s.complain(&badLine{code: jsonrpc2.CodeInvalidRequest, reason: errTooLong.Error()})
	}
	if errors.Is(err, errTooLong) || errors.Is(err, errTooManyBad) {
		s.log.Warn().Err(err).Msg("connection ended")
	}
	s.ended(err)
	if errors.Is(err, net.ErrClosed) {
		return io.EOF // we closed it ourselves: nothing for jsonrpc2 to log
	}
	return err
}

func (s *stream) nextAnswer() ([]byte, error) {
	for {
		line, err := s.readLine()
		if err != nil {
			return nil, err
		}
		if line = bytes.Trim(line, " \t\r\n"); len(line) == 0 {
			continue
		}
		req, answer, bad := sortLine(line)
		switch {
		case req != nil:
			s.bad = 0
			s.request(req)
			continue
		case answer != nil:
			s.bad = 0
			return answer, nil
		case bad != nil:
			s.complain(bad)
		}
		if s.bad++; s.bad >= maxBadLines {
			return nil, errTooManyBad
		}
	}
}

// complain answers a bad line. If it cannot, the reader will find out.
func (s *stream) complain(bad *badLine) {
	s.log.Debug().Str("reason", bad.reason).Msg("bad line")
	line, err := encodeAnswer(bad.id, nil, &jsonrpc2.Error{Code: bad.code, Message: bad.reason})
	if err == nil {
		_ = s.write(line)
	}
}

// readLine returns the next line, valid until the next call. Bytes before the
// end of input count as a line without a line feed.
func (s *stream) readLine() ([]byte, error) {
	if cap(s.long) > 4*lineBuffer {
		s.long = nil
	}
	if s.r.Buffered() == 0 {
		s.between.Store(true)
		_, err := s.r.Peek(1)
		s.between.Store(false)
		if err != nil {
			return nil, err
		}
	}
	if begun, _ := s.r.Peek(s.r.Buffered()); bytes.IndexByte(begun, '\n') < 0 {
		_ = s.nc.SetReadDeadline(time.Now().Add(lineLimit))
		defer func() { _ = s.nc.SetReadDeadline(time.Time{}) }()
	}
	line, err := s.r.ReadSlice('\n')
	if err == nil {
		return line, nil
	}
	s.long = append(s.long[:0], line...)
	for errors.Is(err, bufio.ErrBufferFull) {
		line, err = s.r.ReadSlice('\n')
		if len(s.long)+len(line) > wire.MaxMessage {
			return nil, errTooLong
		}
		s.long = append(s.long, line...)
	}
	if err == nil || errors.Is(err, io.EOF) && len(s.long) > 0 {
		return s.long, nil
	}
	return nil, err
}

// WriteObject writes a message of ours as one line.
func (s *stream) WriteObject(v any) error {
	line, err := json.Marshal(v)
	if err != nil {
		return err
	}
	if len(line)+1 > wire.MaxMessage {
		return errTooLongSent
	}
	return s.write(append(line, '\n'))
}

// write writes one line whole, or breaks the connection.
func (s *stream) write(line []byte) error {
	s.writing.Lock()
	defer s.writing.Unlock()
	if s.broken != nil {
		return s.broken
	}
	_ = s.nc.SetWriteDeadline(time.Now().Add(s.writeLimit))
	if _, err := s.nc.Write(line); err != nil {
		s.broken = err
		_ = s.nc.Close()
		return err
	}
	return nil
}

// Close closes the connection below.
func (s *stream) Close() error { return s.nc.Close() }
