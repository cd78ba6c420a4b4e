// Package lab runs the real Exim over a directory of ours, for tests and for
// "make mail". The machine's own Exim, its configuration, queue, logs and
// mailboxes stay as they are and are not looked at: everything happens in a
// private mount namespace, where ROOT/etc/exim4 lies over /etc/exim4 and
// directories of the lab lie over the queue, the log, /var/mail and the hooks.
// It needs root and Debian's exim4-daemon-heavy.
//
// In a Go test:
//
//	x := lab.Start(t, root, lab.Options{})                         // Exim runs; ended with the test
//	r, err := x.Rcpt(t.Context(), "me@sender.test", "a@b.example") // 250, 450, 550, …
//	bt, err := x.Route(t.Context(), "a@b.example")                 // exim -bt: where it would go
//	_, err = x.Send(t.Context(), "me@sender.test", "a@b.example", "Subject: x\n\nx\n")
//	letters, err := x.Sink.Wait(t.Context(), 1)                    // what left the server
//
// Open does the same without a test: its methods return errors, so that they
// serve scripts and goroutines too. Route, Exim and Queue need no running daemon.
//
// Mail for foreign domains goes to Options.Sink and never leaves the machine. With
// Options.DNS the configuration's own look-up in the DNS decides instead, and
// asks that name server (see ListenDNS) and no other.
package lab
