package files

import (
	"cmp"
	"compress/bzip2"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"io/fs"
	"os"
	"strings"
	"syscall"
	"time"

	"maildomain/module/mail"
)

// A logFile is a file of Exim's log, open for reading.
type logFile struct {
	file          *os.File
	text          io.Reader // what is in it, from where it was read to
	packed        string    // by what ending it is compressed; empty: it is not
	device, inode uint64
	size          int64     // as it is stored
	written       time.Time // last
	touched       time.Time // written or moved last
}

// packings are the endings of compressed logs that can be read.
var packings = []string{".gz", ".bz2"}

// openLog opens a file of the log. No link leads out of the tree, and what is no file
// is an error.
func (t *Tree) openLog(name string) (*logFile, error) {
	f, err := t.root.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = &fs.PathError{Op: "read", Path: name, Err: errors.New("is no file")}
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	sys := info.Sys().(*syscall.Stat_t)
	l := &logFile{file: f, device: sys.Dev, inode: sys.Ino, size: info.Size(), written: info.ModTime(), touched: time.Unix(sys.Ctim.Unix())}
	for _, p := range packings {
		if strings.HasSuffix(name, p) {
			l.packed = p
		}
	}
	return l, nil
}

func (l *logFile) close() error { return l.file.Close() }

// skip goes to a place; io.EOF where the file has less.
func (l *logFile) skip(ctx context.Context, to int64) (err error) {
	if l.packed == "" {
		if to > l.size {
			return io.EOF
		}
		l.text = l.file
		_, err := l.file.Seek(to, io.SeekStart)
		return err
	}
	l.text, err = l.unpack()
	for to > 0 && err == nil {
		n := min(to, logPart)
		to -= n
		_, err = io.CopyN(io.Discard, l.text, n)
		err = cmp.Or(ctx.Err(), err)
	}
	return err
}

// unpack is what is in a compressed file.
func (l *logFile) unpack() (io.Reader, error) {
	if _, err := l.file.Seek(0, io.SeekStart); err != nil {
		return nil, err
	}
	if l.packed == ".bz2" {
		return bzip2.NewReader(l.file), nil
	}
	z, err := gzip.NewReader(l.file)
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF // it is only begun
	}
	return z, err
}

// head is the first bytes, at most so many.
func (l *logFile) head(most int64) ([]byte, error) {
	b := make([]byte, most)
	if l.packed == "" {
		n, err := l.file.ReadAt(b, 0)
		if errors.Is(err, io.EOF) {
			err = nil
		}
		return b[:n], err
	}
	text, err := l.unpack()
	if err != nil {
		return nil, err
	}
	n, err := io.ReadFull(text, b)
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) && n > 0 {
		err = nil
	}
	return b[:n], err
}

// mark has a place know the file as well as can be.
func (l *logFile) mark(p *mail.LogPlace) error {
	p.Device, p.Inode = l.device, l.inode
	if p.HeadSize == logHead || l.packed != "" && p.HeadSize > 0 {
		return nil
	}
	b, err := l.head(logHead)
	if err == nil && len(b) > 0 {
		p.Head, p.HeadSize = hash(b), int64(len(b))
	}
	return err
}

// known says that it is the file that a place is in.
func (l *logFile) known(p mail.LogPlace) (bool, error) {
	if p.HeadSize == 0 {
		return l.packed == "" && l.device == p.Device && l.inode == p.Inode, nil
	}
	b, err := l.head(p.HeadSize)
	return err == nil && int64(len(b)) == p.HeadSize && hash(b) == p.Head, err
}

// still is known for a file that is being read.
func (l *logFile) still(p mail.LogPlace) (bool, error) {
	if l.packed != "" {
		return true, nil
	}
	return l.known(p)
}

// brokenForGood says that what cannot be read of it is not still being written.
func (l *logFile) brokenForGood() bool { return l.packed != "" && ago(l.written, logPacked) }

// restedFor says that nobody has written to it or moved it for so long.
func (l *logFile) restedFor(d time.Duration) bool { return ago(l.touched, d) }

// ago says that an instant was longer ago. What seems to come was before the clock was
// put back.
func ago(at time.Time, d time.Duration) bool { return time.Since(at).Abs() > d }

func hash(b []byte) string {
	h := sha256.Sum256(b)
	return hex.EncodeToString(h[:])
}
