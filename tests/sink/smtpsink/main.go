// Command smtpsink takes every letter it is sent and keeps it as a file.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"maildomain/tests/sink"
)

func main() {
	addr := flag.String("listen", "127.0.0.1:2526", "`address` to listen on")
	dir := flag.String("dir", "sent", "`directory` for the letters")
	flag.Parse()
	if err := run(*addr, *dir); err != nil {
		fmt.Fprintln(os.Stderr, "smtpsink:", err)
		os.Exit(1)
	}
}

func run(addr, dir string) error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	d := &sink.Dir{Path: dir, Out: os.Stdout, Now: time.Now}
	s, err := sink.Listen(addr, d.Take)
	if err != nil {
		return err
	}
	fmt.Printf("listening on %s, letters go to %s\n", s.Addr(), dir)
	<-ctx.Done()
	return s.Close()
}
