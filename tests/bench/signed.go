package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"maildomain/tests/world"
)

const (
	signedCreates = 80
	stockRest     = 700 * time.Millisecond // in which the stock is not used up
)

// signed measures creates with DKIM against creates without, by turns.
func signed(ctx context.Context, bin string) (err error) {
	data, err := os.MkdirTemp("", "maildomain-bench-data-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(data)
	w, err := world.Open(world.Options{Data: data, Bin: bin})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, w.Stop()) }()
	var with, without []time.Duration
	for i := range signedCreates {
		for _, dkim := range []string{"on", "off"} {
			time.Sleep(stockRest)
			start := time.Now()
			a, err := w.Call(ctx, "user1", "emaildomain.edit", "name", fmt.Sprintf("%s-%d.example", dkim, i), "dkim", dkim, "sok", "ok")
			if err == nil && !a.OK {
				err = fmt.Errorf("%s %s", a.Error, a.Msg)
			}
			switch took := time.Since(start); {
			case err != nil:
				return fmt.Errorf("create with DKIM %s: %w", dkim, err)
			case i < signedCreates/10: // to warm up
			case dkim == "on":
				with = append(with, took)
			default:
				without = append(without, took)
			}
		}
	}
	one, base := median(with), median(without)
	row("create with DKIM from the stock, against one without", ms(one)/ms(base), 1.5, "x", fmt.Sprintf("%.2f ms against %.2f ms", ms(one), ms(base)))
	return nil
}
