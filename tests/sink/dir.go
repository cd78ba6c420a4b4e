package sink

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// Dir keeps letters as files below Path, which it creates: NNNN-TIME.eml, the
// envelope as X-Sink fields above the letter. Out, unless nil, gets one line a
// letter. Its Take is for Listen.
type Dir struct {
	Path string
	Out  io.Writer
	Now  func() time.Time

	n int
}

// Take writes l into a file of its own, complete or not at all.
func (d *Dir) Take(l Letter) error {
	if err := os.MkdirAll(d.Path, 0o755); err != nil {
		return fmt.Errorf("create directory for letters: %w", err)
	}
	d.n++
	name := filepath.Join(d.Path, fmt.Sprintf("%s-%04d.eml", d.Now().UTC().Format("20060102T150405.000"), d.n))
	if err := writeNew(name, l.file()); err != nil {
		return fmt.Errorf("keep letter: %w", err)
	}
	if d.Out != nil {
		_, err := fmt.Fprintf(d.Out, "sent from %s as %s: <%s> to <%s>: %s\n",
			l.Peer, l.Helo, l.From, strings.Join(l.To, ">, <"), name)
		if err != nil {
			return fmt.Errorf("tell of letter: %w", err)
		}
	}
	return nil
}

func (l Letter) file() []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "X-Sink-Peer: %s\r\nX-Sink-Helo: %s\r\nX-Sink-From: <%s>\r\n", l.Peer, l.Helo, l.From)
	for _, to := range l.To {
		fmt.Fprintf(&b, "X-Sink-To: <%s>\r\n", to)
	}
	b.Write(l.Data)
	return b.Bytes()
}

func writeNew(name string, data []byte) error {
	part := name + ".part"
	if err := os.WriteFile(part, data, 0o644); err != nil {
		return err
	}
	return os.Rename(part, name)
}
