package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"maildomain/rpc/wire"
)

// activation measures a start on demand: from a connection to the first answer,
// with the program not running before.
func activation(ctx context.Context, bin string) error {
	root, err := os.MkdirTemp("", "maildomain-bench-root-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(root)
	start, err := sample(20, func(int) error { return exec.CommandContext(ctx, program(bin), "version").Run() })
	if err != nil {
		return err
	}
	var resident float64
	first, err := sample(20, func(i int) error {
		return activate(ctx, bin, root, func(pid int) (err error) {
			if i == 19 {
				time.Sleep(time.Second) // idle: the garbage of the start collected or not, as it is
				resident, err = residentMB(pid)
			}
			return err
		})
	})
	if err != nil {
		return err
	}
	size, err := sizeMB(program(bin))
	if err != nil {
		return err
	}
	row("activation, connect to first answer", ms(first), 50, "ms", fmt.Sprintf("floor: starting the program alone %.2f ms, ratio %.1f", ms(start), ms(first)/ms(start)))
	row("resident memory, idle", resident, 30, "MB", "")
	row("program, stripped", size, 20, "MB", "")
	return nil
}

// activate is one activation: it is the panel core that has the socket, starts the
// program, is registered with and asks for the module's health.
func activate(ctx context.Context, bin, root string, then func(pid int) error) (err error) {
	socket := filepath.Join(root, "socket")
	ln, err := net.ListenUnix("unix", &net.UnixAddr{Name: socket, Net: "unix"})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, ln.Close()) }()
	f, err := ln.File()
	if err != nil {
		return err
	}
	defer f.Close()

	conn, err := net.Dial("unix", socket)
	if err != nil {
		return err
	}
	defer conn.Close()
	// LISTEN_PID is the program's own (sd_listen_fds(3)); the shell becomes the program.
	c := exec.CommandContext(ctx, "/bin/sh", "-c", `LISTEN_PID=$$ LISTEN_FDS=1 exec "$0" serve --root "$1"`, program(bin), root)
	c.ExtraFiles = []*os.File{f}
	if err := c.Start(); err != nil {
		return err
	}
	defer func() {
		err = errors.Join(err, c.Process.Signal(os.Interrupt), c.Wait())
	}()
	if err := talk(conn); err != nil {
		return err
	}
	return then(c.Process.Pid)
}

// talk answers the registration and waits for the answer to a question.
func talk(conn net.Conn) error {
	if err := conn.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		return err
	}
	if _, err := fmt.Fprintf(conn, `{"jsonrpc":"2.0","id":1,"method":%q,"params":{}}`+"\n", wire.ModuleHealth); err != nil {
		return err
	}
	lines := bufio.NewScanner(conn)
	lines.Buffer(nil, wire.MaxMessage)
	for lines.Scan() {
		var m struct {
			ID     json.RawMessage `json:"id"`
			Method string          `json:"method"`
			Result *wire.Health    `json:"result"`
		}
		if err := json.Unmarshal(lines.Bytes(), &m); err != nil {
			return err
		}
		if m.Method == wire.CoreRegister {
			if _, err := fmt.Fprintf(conn, `{"jsonrpc":"2.0","id":%s,"result":{"protocol":1,"core":{"name":"bench","version":"1"}}}`+"\n", m.ID); err != nil {
				return err
			}
			continue
		}
		if m.Result != nil && m.Result.Status == "ok" {
			return nil
		}
		return fmt.Errorf("unexpected answer %s", lines.Bytes())
	}
	return errors.Join(errors.New("the program hung up"), lines.Err())
}
