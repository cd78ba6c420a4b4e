package store

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"

	"maildomain/module/mail"
)

// putFindings adds findings of a domain to those that stand, or takes the place of
// those about the same thing, and renews the note that lists show.
func (tx *Tx) putFindings(ctx context.Context, n mail.Name, fs []Finding) error {
	for _, f := range fs {
		args, err := json.Marshal(f.Verdict.Args)
		if err != nil {
			return fmt.Errorf("write a finding about %s: %w", n, err)
		}
		seen, err := json.Marshal(f.Seen)
		if err != nil {
			return fmt.Errorf("write a finding about %s: %w", n, err)
		}
		if _, err := tx.exec(ctx, `INSERT OR REPLACE INTO finding (domain, name, type, why, state, text, args, seen, at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)`,
			n.String(), f.Name, string(f.Type), string(f.Why), string(f.Verdict.State), f.Verdict.Text, string(args), string(seen), tx.Now.UnixMilli()); err != nil {
			return err
		}
	}
	return tx.renewNote(ctx, n)
}

// PutFindingsFor keeps what was found of a domain about one kind of thing, in place of
// what was found of it before. A domain that is gone has none. The mail server itself goes
// by the name mail.ServerCertificate.
func (tx *Tx) PutFindingsFor(ctx context.Context, n mail.Name, why mail.Purpose, fs []Finding) error {
	if n.String() != mail.ServerCertificate {
		_, found, err := tx.Domain(ctx, n)
		if err != nil || !found {
			return err
		}
	}
	if _, err := tx.exec(ctx, `DELETE FROM finding WHERE domain = ? AND why = ?`, n.String(), string(why)); err != nil {
		return err
	}
	return tx.putFindings(ctx, n, fs)
}

// ForgetBefore drops what was served before a certificate that was seen served, unless
// it has become another.
func (tx *Tx) ForgetBefore(ctx context.Context, name, fingerprint string) error {
	_, err := tx.exec(ctx, `UPDATE certificate SET before_chain = '', before_key = '', before_source = ''
		WHERE name = ? AND fingerprint = ? AND before_chain > ''`, name, fingerprint)
	return err
}

// forgetFindings drops what the last check found about a record set that becomes another:
// it is about values that are wanted no more. One that had none before was wanted by a
// person, who entered it: that it lacked is still so.
func (tx *Tx) forgetFindings(ctx context.Context, n mail.Name, s RecordShift) error {
	before, after := slices.Sorted(slices.Values(s.Before)), slices.Sorted(slices.Values(s.After))
	if slices.Equal(before, after) {
		return nil
	}
	_, err := tx.exec(ctx, `DELETE FROM finding WHERE domain = ? AND name = ? AND type = ? AND why NOT IN ('tls', 'reports') AND (state = 'right' OR ?)`,
		n.String(), s.Name, string(s.Type), len(before) > 0)
	return err
}
