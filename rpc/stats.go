package rpc

import (
	"context"
	"slices"
	"strconv"
	"time"

	"maildomain/module"
	"maildomain/module/mail"
	"maildomain/rpc/wire"
)

// domainStats is the report of what became of letters for a domain: a row for each day,
// the latest first, and sums.
func domainStats(ctx context.Context, m *module.Module, by module.Actor, p params) (any, error) {
	s, err := m.DomainStats(ctx, by, p["elid"], p["days"])
	if err != nil {
		return nil, err
	}
	r := wire.Report{Kind: wire.KindReport, Values: countsOf(s.Total), Elems: []map[string]string{}}
	r.Values["name"], r.Values["days"] = s.Domain.Name.Unicode(), strconv.Itoa(len(s.Days))
	if !s.Until.IsZero() {
		r.Values["until"] = s.Until.Format(time.RFC3339)
	}
	if s.Absent {
		r.Values["said"] = text(by.Lang, "emaildomain.stats", "said_absent")
	}
	for _, d := range slices.Backward(s.Days) {
		row := countsOf(d.Counts)
		row["day"] = d.Day.String()
		r.Elems = append(r.Elems, row)
	}
	return r, nil
}

// countsOf are numbers by the names of what was counted.
func countsOf(c mail.Counts) map[string]string {
	numbers := map[string]string{}
	for f, n := range c {
		numbers[mail.Fate(f).String()] = strconv.FormatInt(n, 10)
	}
	return numbers
}
