package rpc

import (
	"errors"
	"fmt"
	"net"
	"syscall"

	"golang.org/x/sys/unix"
)

// peerOf returns who connected, as the kernel noted it at that moment
// (SO_PEERCRED, unix(7)).
func peerOf(nc net.Conn) (*unix.Ucred, error) {
	var cred *unix.Ucred
	err := onSocket(nc, func(fd int) (err error) {
		cred, err = unix.GetsockoptUcred(fd, unix.SOL_SOCKET, unix.SO_PEERCRED)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("ask who the peer is: %w", err)
	}
	return cred, nil
}

// unread returns how many bytes of the peer's the kernel holds for us. An error
// counts as some: the reader will meet it too.
func unread(nc net.Conn) int {
	n := 1
	_ = onSocket(nc, func(fd int) error {
		got, err := unix.IoctlGetInt(fd, unix.TIOCINQ)
		if err == nil {
			n = got
		}
		return err
	})
	return n
}

func onSocket(nc net.Conn, f func(fd int) error) error {
	sc, ok := nc.(syscall.Conn)
	if !ok {
		return errors.New("not a socket")
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return err
	}
	var ferr error
	if err := raw.Control(func(fd uintptr) { ferr = f(int(fd)) }); err != nil {
		return err
	}
	return ferr
}
