// Package lab runs the real Exim, and with it the real Dovecot, over a directory of
// ours, for tests and for "make mail". The machine's own servers, their
// configuration, queue, logs and mailboxes stay as they are and are not looked at:
// everything happens in a private mount namespace, where ROOT/etc/exim4 lies over
// /etc/exim4, likewise ROOT/etc/dovecot, ROOT/var/vmail and ROOT/run/dovecot, and
// directories of the lab lie over the queue, the log, /var/mail and the hooks.
// It needs root and Debian's packages; see Need and NeedDovecot.
//
// In a Go test:
//
//	x := lab.Start(t, root, lab.Options{})                         // Exim runs; ended with the test
//	r, err := x.Rcpt(t.Context(), "me@sender.test", "a@b.example") // 250, 450, 550, …
//	bt, err := x.Route(t.Context(), "a@b.example")                 // exim -bt: where it would go
//	_, err = x.Send(t.Context(), "me@sender.test", "a@b.example", "Subject: x\n\nx\n")
//	letters, err := x.Sink.Wait(t.Context(), 1)                    // what left the server
//
// With Options.Dovecot, and a domain's boxes written by the module or by PutBoxes:
//
//	_, err = x.Send(t.Context(), "me@sender.test", "box@b.example", "Subject: x\n\nx\n")
//	letters, err := x.WaitLetters(t.Context(), "box@b.example", 1) // over IMAPS
//	letters, err = x.POP3(t.Context(), "box@b.example", lab.Secret)
//	tls, err := x.TLS() // trusts the root's default certificate
//	c := lab.Client{Addr: x.Services().Submission, TLS: tls, Login: "box@b.example", Password: lab.Secret}
//	r, err = c.Send(t.Context(), "box@b.example", []string{"me@sender.test"}, "From: box@b.example\n\nx\n")
//	faults, err := x.Dovecot.Faults() // of its log
//
// Open does the same without a test: its methods return errors, so that they
// serve scripts and goroutines too. Route, Exim and Queue need no running daemon.
//
// Mail for foreign domains goes to Options.Sink and never leaves the machine. With
// Options.DNS the configuration's own look-up in the DNS decides instead, and
// asks that name server (see ListenDNS) and no other.
package lab
