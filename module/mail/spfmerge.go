package mail

import "slices"

// Merge proposes one policy where others stand: ours first, so that our addresses
// are found without a look-up whatever follows, then all of theirs as it was, with
// the ending of the first of them that has one. Our own "all" gives way.
func (p SPF) Merge(theirs ...SPF) SPF {
	var out SPF
	add := func(ms []SPFMechanism) {
		for _, m := range ms {
			if m.Name != "all" && !slices.ContainsFunc(out.Mechanisms, m.Equal) {
				out.Mechanisms = append(out.Mechanisms, m)
			}
		}
	}
	add(p.Mechanisms)
	for _, t := range theirs {
		add(t.Mechanisms)
		out.Unknown = append(out.Unknown, t.Unknown...)
		if out.Explanation == "" {
			out.Explanation = t.Explanation
		}
	}
	for _, q := range theirs {
		if i := slices.IndexFunc(q.Mechanisms, func(m SPFMechanism) bool { return m.Name == "all" }); i >= 0 {
			out.Mechanisms = append(out.Mechanisms, q.Mechanisms[i])
			return out
		}
		if q.Redirect != "" {
			out.Redirect = q.Redirect
			return out
		}
	}
	return out
}
