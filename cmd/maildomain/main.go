// Command maildomain adds mail domains to a hosting panel: it answers the panel
// core on a socket that systemd or the core hands it, and makes Exim follow.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/alecthomas/kong"
	"github.com/rs/zerolog"

	"maildomain/module"
	"maildomain/module/files"
	"maildomain/module/store"
)

// version of the module, as the core is told.
const version = "0.1.0"

// place is where the module finds everything: the same for all commands.
type place struct {
	Root   string `default:"/" help:"Directory that every path hangs under." type:"path"`
	Layout string `default:"debian" enum:"debian,rhel" help:"Whose paths to use: ${enum}."`
	DB     string `help:"Database file. Default: var/lib/maildomain/maildomain.db below the root." type:"path"`
}

type commands struct {
	Serve     serve        `cmd:"" default:"withargs" help:"Answer the panel core on the socket that was handed over (default)."`
	Reconcile reconcile    `cmd:"" help:"Compare every file with the database and put right what differs."`
	Check     check        `cmd:"" help:"Look at the database and every file, change nothing, and report."`
	Renew     renew        `cmd:"" help:"Do what is due and waits for time alone, where no process serves: certificates, keys, records, what was deleted."`
	Setup     setup        `cmd:"" help:"Make the directories and write the configurations of Exim and Dovecot, where none stands or only our own."`
	Version   printVersion `cmd:"" help:"Print the version."`
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	var c commands
	k := kong.Parse(&c, kong.Name("maildomain"), kong.UsageOnError(),
		kong.Description("Mail domains for a hosting panel, obeyed by Exim and Dovecot."),
		kong.BindTo(ctx, (*context.Context)(nil)))
	if err := k.Run(); err != nil {
		fmt.Fprintf(os.Stderr, "maildomain: %v\n", err)
		os.Exit(1)
	}
}

// A world is the open database and tree of a place.
type world struct {
	db     *store.DB
	tree   *files.Tree
	module *module.Module
}

// make is open, after the directories were made that are missing.
func (p place) make(ctx context.Context, panel module.Panel, log zerolog.Logger) (*world, error) {
	layout, err := files.ParseLayout(p.Layout)
	if err != nil {
		return nil, err
	}
	tree, err := files.OpenTree(p.Root, layout)
	if err != nil {
		return nil, err
	}
	_, err = tree.MakeDirectories()
	if err := errors.Join(err, tree.Close()); err != nil {
		return nil, err
	}
	return p.open(ctx, panel, log)
}

// existing is open for commands that change nothing: a database that is missing is
// told, not made.
func (p place) existing(ctx context.Context, panel module.Panel, log zerolog.Logger) (*world, error) {
	layout, err := files.ParseLayout(p.Layout)
	if err != nil {
		return nil, err
	}
	if _, err := os.Stat(p.database(layout)); err != nil {
		return nil, fmt.Errorf("find the database: %w", err)
	}
	return p.open(ctx, panel, log)
}

// open opens what stands at p, and makes the database where there is none.
func (p place) open(ctx context.Context, panel module.Panel, log zerolog.Logger) (_ *world, err error) {
	layout, err := files.ParseLayout(p.Layout)
	if err != nil {
		return nil, err
	}
	var w world
	if w.tree, err = files.OpenTree(p.Root, layout); err != nil {
		return nil, err
	}
	if w.db, err = store.Open(ctx, p.database(layout), time.Now); err != nil {
		return nil, errors.Join(err, w.tree.Close())
	}
	w.module = module.New(w.db, w.tree, panel, log)
	return &w, nil
}

func (w *world) close() error { return errors.Join(w.db.Close(), w.tree.Close()) }

func (p place) database(l files.Layout) string {
	if p.DB != "" {
		return p.DB
	}
	return filepath.Join(p.Root, l.State, "maildomain.db")
}

type printVersion struct{}

// Run prints the version.
func (printVersion) Run() error {
	_, err := fmt.Println("maildomain", version)
	return err
}
