package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"

	"github.com/rs/zerolog"

	"maildomain/module"
)

// journal is where every change is told: the same for the commands that make some.
type journal struct {
	Log string `help:"File with a JSON line for each change; a process that serves opens it anew on SIGHUP. Default: var/log/maildomain/changes.log below the root." type:"path"`
}

// record opens it, and has the module tell its changes there.
func (j journal) record(root string, m *module.Module) (*logFile, error) {
	if j.Log == "" {
		j.Log = filepath.Join(root, "var/log/maildomain/changes.log")
	}
	f, err := openLog(j.Log)
	if err == nil {
		m.LogChanges(zerolog.New(f))
	}
	return f, err
}

// A logFile is a file that lines are appended to, and that is opened anew when
// somebody has moved it away. Each line is one write, so that none is split.
type logFile struct {
	path string
	mu   sync.Mutex
	f    *os.File
}

func openLog(path string) (*logFile, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
		return nil, fmt.Errorf("make the directory of the log: %w", err)
	}
	l := &logFile{path: path}
	return l, l.reopen()
}

// reopen goes on in the file that stands at the path now. Where it cannot be
// opened, the old one is kept.
func (l *logFile) reopen() error {
	f, err := os.OpenFile(l.path, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o640)
	if err != nil {
		return fmt.Errorf("open the log: %w", err)
	}
	l.mu.Lock()
	old := l.f
	l.f = f
	l.mu.Unlock()
	if old != nil {
		return old.Close()
	}
	return nil
}

// Write appends a line.
func (l *logFile) Write(line []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.f.Write(line)
}

func (l *logFile) close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return errors.Join(l.f.Sync(), l.f.Close())
}
