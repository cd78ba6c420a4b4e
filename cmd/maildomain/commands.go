package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/rs/zerolog"

	"maildomain/module"
	"maildomain/module/files"
)

type reconcile struct {
	place
	DryRun bool `help:"Print what would be written, as a unified diff, and change nothing."`
}

// Run prints a line for every file that differed. It fails where one could not be
// put right.
func (c *reconcile) Run(ctx context.Context) (err error) {
	open := c.make
	if c.DryRun {
		open = c.existing
	}
	w, err := open(ctx, module.Panel{}, zerolog.New(os.Stderr).With().Timestamp().Logger())
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, w.close()) }()
	if c.DryRun {
		differ, err := w.module.Differences(ctx)
		printDifferences(differ)
		return err
	}
	if err := prepare(ctx, w.module); err != nil {
		return err
	}
	repairs, err := w.module.Reconcile(ctx)
	left := 0
	for _, r := range repairs {
		fmt.Printf("%s: %s\n", r.Path, r.Said())
		if r.Left || r.Err != nil {
			left++
		}
	}
	if err != nil {
		return err
	}
	if left > 0 {
		return fmt.Errorf("%d files differ still", left)
	}
	return errors.Join(w.module.ApplyCertificates(ctx), w.module.Purge(ctx), w.module.Measure(ctx), w.module.Close(ctx))
}

func printDifferences(differ []module.Difference) {
	for _, d := range differ {
		if d.Drift == files.FileForeign {
			fmt.Printf("%s: foreign, is left alone\n", d.Path)
			continue
		}
		fmt.Printf("%s: %s\n%s", d.Path, d.Drift, d.Diff)
	}
}

type check struct {
	place
}

// Run prints a report on the database and on every file, and changes nothing. It
// fails where anything is wrong.
func (c *check) Run(ctx context.Context) (err error) {
	w, err := c.existing(ctx, module.Panel{}, zerolog.New(os.Stderr).With().Timestamp().Logger())
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, w.close()) }()
	r, err := w.module.Check(ctx)
	if err != nil {
		return err
	}
	fmt.Printf("mail domains: %d, revision %d\n", r.Domains, r.Revision)
	for _, s := range r.Database {
		fmt.Printf("database: %s\n", s)
	}
	printDifferences(r.Files)
	if !r.Ready {
		fmt.Println("Exim defers all mail: maildomain.ready is not there")
	}
	if !r.Sound() {
		return errors.New("not everything is as it is to be; maildomain reconcile puts files right")
	}
	fmt.Println("database and files are sound")
	return nil
}

type setup struct {
	place
	Replace bool `help:"Put our configuration in the place of another's too, which is kept beside with .before-maildomain added to its name."`
}

// Run prints what was done. It fails, with the difference printed, where another's
// configuration stands in the place of ours, and where the user who owns the mail
// is missing on the system itself.
func (c *setup) Run(ctx context.Context) (err error) {
	layout, err := files.ParseLayout(c.Layout)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(c.Root, 0o755); err != nil {
		return err
	}
	root, err := os.OpenRoot(c.Root)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, root.Close()) }()
	others := files.KeepOthers
	if c.Replace {
		others = files.ReplaceOthers
	}
	r, err := files.Setup(ctx, root, layout, others)
	for _, d := range r.Done {
		fmt.Println(d)
	}
	for _, f := range r.Confs {
		if f.Diff != "" {
			fmt.Print(f.Diff)
			err = errors.Join(err, fmt.Errorf("/%s is %s: it was left as it is; above is what setup --replace would change", f.Path, f.State))
		}
	}
	if c.Root == "/" { // a tree for an image or a test has no users
		for _, u := range r.Lacks {
			err = errors.Join(err, fmt.Errorf("there is no user %s yet; this makes it, then run setup again: "+
				"useradd --system --user-group --home-dir /%s --no-create-home --shell /usr/sbin/nologin %[1]s", u, layout.Mail))
		}
	}
	return err
}
