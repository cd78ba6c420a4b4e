package main

import (
	"context"
	"crypto/sha256"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"maildomain/module/files"
	"maildomain/module/mail"
	"maildomain/tests/lab"
)

// certificates measures a real Dovecot with many certificates: the look before a
// reload, the reload, the first log-in after it, and memory. Needs root.
func certificates(ctx context.Context) error {
	for _, n := range []int{0, 100, 1000, files.MostCertificates} {
		if err := withMailServers(ctx, "", func(s *mailServers) error { return s.carry(ctx, n) }); err != nil {
			return err
		}
	}
	return front(ctx)
}

// mailServers are Exim and Dovecot over a root with one mailbox.
type mailServers struct {
	*lab.Exim
	root string
	tree *files.Tree
}

const (
	benchBox    = "box@bench.example"
	benchSecret = "secret"
)

func withMailServers(ctx context.Context, hook string, f func(*mailServers) error) (err error) {
	dir, err := os.MkdirTemp("", "maildomain-bench-mail-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	s := &mailServers{root: filepath.Join(dir, "root")}
	if err := errors.Join(os.Mkdir(s.root, 0o755), os.Chmod(dir, 0o755)); err != nil {
		return err
	}
	if err := s.prepare(ctx, hook); err != nil {
		return err
	}
	if s.tree, err = files.OpenTree(s.root, files.Debian); err != nil {
		return err
	}
	defer s.tree.Close()
	if s.Exim, err = lab.Open(lab.Options{Root: s.root, Dir: filepath.Join(dir, "lab"), Dovecot: true}); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	if err := s.Serve(ctx); err != nil {
		return err
	}
	return f(s)
}

func (s *mailServers) prepare(ctx context.Context, hook string) error {
	root, err := os.OpenRoot(s.root)
	if err != nil {
		return err
	}
	defer root.Close()
	if _, err := files.Setup(ctx, root, files.Debian, files.KeepOthers); err != nil {
		return err
	}
	if err := lab.WriteCertificate(s.root, "mail.bench.test"); err != nil {
		return err
	}
	u, err := user.Lookup(files.Debian.MailUser)
	if err != nil {
		return err
	}
	uid, err := strconv.Atoi(u.Uid)
	if err != nil {
		return err
	}
	box := filepath.Join(s.root, files.Debian.Mail, "bench.example", "box")
	users := fmt.Sprintf("box:{PLAIN}%s::::/%s/bench.example/box::userdb_quota_rule=*:bytes=0\n", benchSecret, files.Debian.Mail)
	return errors.Join(
		os.MkdirAll(box, 0o755), os.Chown(box, uid, -1),
		os.WriteFile(filepath.Join(s.root, files.Debian.Users(), "bench.example"), []byte(users), 0o644),
		os.WriteFile(filepath.Join(s.root, files.Debian.DovecotHooks(), "bench.conf"), []byte(hook), 0o644),
		os.WriteFile(filepath.Join(s.root, files.Debian.DomainIPs()), []byte("# maildomain 1: bench\n"), 0o644),
		os.WriteFile(filepath.Join(s.root, files.Debian.Ready()), []byte("# maildomain 1: bench\n"), 0o644),
	)
}

// selfSigned are n certificates, each for two names.
func selfSigned(n int) ([]mail.ServedCertificate, error) {
	now := time.Now()
	list := make([]mail.ServedCertificate, n)
	for i := range list {
		names := []mail.Name{mail.StoredName(fmt.Sprintf("mail.n%d.example", i)), mail.StoredName(fmt.Sprintf("imap.n%d.example", i))}
		c, err := mail.SelfSign(names, now, now.Add(time.Hour))
		if err != nil {
			return nil, err
		}
		c.Name = names[0].String()
		list[i] = mail.ServedCertificate{Certificate: c, Names: names}
	}
	return list, nil
}

func (s *mailServers) publish(list []mail.ServedCertificate, all bool) error {
	var plan []files.Change
	for _, c := range list {
		if all {
			for _, f := range files.Debian.CertificateFiles(c.Certificate) {
				plan = append(plan, files.Change{File: f})
			}
		}
	}
	sni, err := files.Debian.SNIFile(list)
	if err != nil {
		return err
	}
	conf, err := files.Debian.CertsConfFile(list)
	if err != nil {
		return err
	}
	staged, err := s.tree.Stage(append(plan, files.Change{File: sni}, files.Change{File: conf}))
	if err != nil {
		return err
	}
	return staged.Publish()
}

// carry has the servers carry n certificates.
func (s *mailServers) carry(ctx context.Context, n int) error {
	list, err := selfSigned(n)
	if err != nil {
		return err
	}
	if err := s.publish(list, true); err != nil {
		return err
	}
	figure := func(what string, got, bound float64, unit string) {
		row(fmt.Sprintf("certificates: %d, %s", n, what), got, bound, unit, "")
	}
	// The one that a change writes: both lists, and no certificate's files but its own.
	write, err := sample(5, func(int) error { return s.publish(list, false) })
	if err != nil {
		return err
	}
	figure("writing the lists anew", ms(write), 100, "ms")
	check, err := sample(3, func(int) error {
		status, out, err := s.Dovecot.Run(ctx, "doveconf", "-n", "-x")
		if err == nil && status != 0 {
			err = fmt.Errorf("doveconf answers %d: %.300s", status, out)
		}
		return err
	})
	if err != nil {
		return err
	}
	figure("the look before a reload", ms(check), 5000, "ms")
	asked, wanted := "", [32]byte{}
	if n > 0 {
		last := list[n-1]
		b, _ := pem.Decode(last.Chain)
		asked, wanted = last.Names[1].String(), sha256.Sum256(b.Bytes)
	}
	var firsts []time.Duration
	reload, err := sample(3, func(int) error {
		start := time.Now()
		if _, err := s.tree.ReloadDovecot(ctx); err != nil {
			return err
		}
		answered := time.Since(start)
		err := s.logIn(ctx, s.Services().IMAPS, asked, wanted)
		firsts = append(firsts, time.Since(start)-answered)
		return err
	})
	if err != nil {
		return err
	}
	first := median(firsts)
	figure("reload", ms(reload)-ms(first), 2000, "ms")
	figure("the first log-in after it", ms(first), 5000, "ms")
	again, err := sample(10, func(int) error { return s.logIn(ctx, s.Services().IMAPS, asked, wanted) })
	if err != nil {
		return err
	}
	figure("each log-in later", ms(again), 200, "ms")
	for _, process := range []string{"config", "imap-login"} {
		most, err := childMB(process)
		if err != nil {
			return err
		}
		figure("resident, the largest "+process, most, 512, "MB")
	}
	return s.during(ctx, n, 10)
}

// during reloads while people log in all the time.
func (s *mailServers) during(ctx context.Context, n, reloads int) error {
	var all sync.WaitGroup
	var tried, failed atomic.Int64
	var longest atomic.Int64
	done := make(chan struct{})
	for range 4 {
		all.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				limit, cancel := context.WithTimeout(ctx, 30*time.Second)
				from := time.Now()
				_, err := tryLogIn(limit, s.Services().IMAPS, "")
				cancel()
				tried.Add(1)
				if err != nil { // "Internal login failure": the person's program tries again
					failed.Add(1)
				}
				if d := int64(time.Since(from)); d > longest.Load() {
					longest.Store(d)
				}
			}
		})
	}
	var err error
	for range reloads {
		if _, err = s.tree.ReloadDovecot(ctx); err != nil {
			break
		}
		time.Sleep(500 * time.Millisecond)
	}
	close(done)
	all.Wait()
	row(fmt.Sprintf("certificates: %d, log-ins that failed in %d reloads", n, reloads), float64(failed.Load()), float64(4*reloads), "", fmt.Sprintf("of %d by four at once", tried.Load()))
	row(fmt.Sprintf("certificates: %d, the slowest log-in meanwhile", n), ms(time.Duration(longest.Load())), 20_000, "ms", "")
	return err
}
