package core

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"

	"maildomain/rpc/wire"
)

// errTooLong is returned for a message longer than wire.MaxMessage. Writing one
// leaves the connection as it was; reading one ends it.
var errTooLong = fmt.Errorf("message longer than %d bytes", wire.MaxMessage)

// writeLimit is how long the other end may take to read one message of ours.
const writeLimit = 10 * time.Second

// A stream reads and writes one JSON object a line, none longer than
// wire.MaxMessage. It stands in for jsonrpc2's own streams, which have no bound.
type stream struct {
	conn net.Conn
	r    *bufio.Reader
	long []byte // a line that the reader's buffer does not hold

	mu sync.Mutex // of writing
}

func newStream(conn net.Conn) *stream {
	return &stream{conn: conn, r: bufio.NewReaderSize(conn, 32<<10)}
}

// WriteObject writes obj and a line feed in one piece. A piece that cannot be
// written whole ends the connection, as the next would continue it.
func (s *stream) WriteObject(obj any) error {
	line, err := marshal(obj)
	if err != nil {
		return fmt.Errorf("write message: %w", err)
	}
	line = append(line, '\n')
	if len(line) > wire.MaxMessage {
		return errTooLong
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.conn.SetWriteDeadline(time.Now().Add(writeLimit))
	if _, err := s.conn.Write(line); err != nil {
		s.conn.Close()
		return fmt.Errorf("write message: %w", err)
	}
	return nil
}

// marshal calls MarshalJSON itself where there is one: json.Marshal would read
// its result through once more.
func marshal(obj any) ([]byte, error) {
	if m, ok := obj.(json.Marshaler); ok {
		return m.MarshalJSON()
	}
	return json.Marshal(obj)
}

// ReadObject reads the next line that is not empty into v.
func (s *stream) ReadObject(v any) error {
	for {
		line, err := s.readLine()
		if err != nil {
			return err
		}
		if line = bytes.TrimSpace(line); len(line) == 0 {
			continue
		}
		if err := unmarshal(line, v); err != nil {
			return fmt.Errorf("read message: %w: %.80q", err, line)
		}
		return nil
	}
}

// unmarshal is the counterpart of marshal: jsonrpc2's messages check the text
// themselves.
func unmarshal(line []byte, v any) error {
	if u, ok := v.(json.Unmarshaler); ok {
		return u.UnmarshalJSON(line)
	}
	return json.Unmarshal(line, v)
}

// readLine returns the next line, good until the next call.
func (s *stream) readLine() ([]byte, error) {
	line, err := s.r.ReadSlice('\n')
	if err == nil {
		return line, nil
	}
	if cap(s.long) > 256<<10 {
		s.long = nil // one big message does not hold its memory for ever
	}
	s.long = append(s.long[:0], line...)
	for errors.Is(err, bufio.ErrBufferFull) {
		if len(s.long) > wire.MaxMessage {
			s.refuse()
			return nil, errTooLong
		}
		line, err = s.r.ReadSlice('\n')
		s.long = append(s.long, line...)
	}
	if err != nil {
		if errors.Is(err, io.EOF) && len(s.long) > 0 {
			return nil, io.ErrUnexpectedEOF
		}
		return nil, err
	}
	if len(s.long) > wire.MaxMessage {
		s.refuse()
		return nil, errTooLong
	}
	return s.long, nil
}

// refuse says why the connection ends (JSON-RPC 2.0 section 5: the id is null
// where it is not known).
func (s *stream) refuse() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.conn.SetWriteDeadline(time.Now().Add(time.Second))
	fmt.Fprintf(s.conn, `{"jsonrpc":"2.0","id":null,"error":{"code":-32600,"message":"%v"}}`+"\n", errTooLong)
}

// Close ends the connection.
func (s *stream) Close() error { return s.conn.Close() }
