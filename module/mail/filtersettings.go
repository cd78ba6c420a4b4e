package mail

import (
	"strconv"
	"strings"
)

// FilterSettings are what an administrator decides about filters (mailparam).
type FilterSettings struct {
	Postgrey, Spamd, Clamd FilterChoice

	SpamMark   int  // tenths of a point from which a letter is filed as junk
	SpamReject int  // tenths of a point from which it is refused
	SpamDown   Down // what becomes of a letter while spamd gives no answer
	VirusDown  Down // likewise clamd
}

// A FilterChoice says where a filter is. The zero FilterChoice: it is not used.
type FilterChoice struct {
	Auto bool // where its own configuration says, if it is installed
	Addr FilterAddr
}

// String is the choice as the form has it.
func (c FilterChoice) String() string {
	switch {
	case c.Auto:
		return "auto"
	case c.Addr.IsZero():
		return "off"
	}
	return c.Addr.String()
}

func (c FilterChoice) of(found FilterAddr) FilterAddr {
	if c.Auto {
		return found
	}
	return c.Addr
}

// FoundFilters are where the filters listen that are installed here.
type FoundFilters struct {
	Postgrey, Spamd, Clamd FilterAddr

	ClamdStream int64 // bytes of a letter that clamd takes and looks at, at most; 0: any
}

// DefaultClamdStream is what clamd takes by TCP where its configuration does not say
// (clamd.conf(5) of ClamAV 1.0 and later).
const DefaultClamdStream = 100 << 20

// Filters are those that are used, of those that were found.
func (s FilterSettings) Filters(found FoundFilters) Filters {
	return Filters{
		Postgrey: s.Postgrey.of(found.Postgrey), Spamd: s.Spamd.of(found.Spamd), Clamd: s.Clamd.of(found.Clamd),
		ClamdStream: found.ClamdStream,
		SpamMark:    s.SpamMark, SpamReject: s.SpamReject, SpamDown: s.SpamDown, VirusDown: s.VirusDown,
	}
}

func defaultFilterSettings() FilterSettings {
	auto := FilterChoice{Auto: true}
	return FilterSettings{Postgrey: auto, Spamd: auto, Clamd: auto, SpamMark: 50, SpamReject: 150, SpamDown: DownPass, VirusDown: DownDefer}
}

// Values are the settings by the names of the form's parameters.
func (s FilterSettings) values() map[string]string {
	return map[string]string{
		"postgrey": s.Postgrey.String(), "spamd": s.Spamd.String(), "clamd": s.Clamd.String(),
		"spam_mark": points(s.SpamMark), "spam_reject": points(s.SpamReject),
		"spam_down": string(s.SpamDown), "virus_down": string(s.VirusDown),
	}
}

func (e SettingsEdit) applyFilters(s *Settings) error {
	for _, f := range []struct {
		name string
		from *string
		to   *FilterChoice
	}{{"postgrey", e.Postgrey, &s.Filters.Postgrey}, {"spamd", e.Spamd, &s.Filters.Spamd}, {"clamd", e.Clamd, &s.Filters.Clamd}} {
		if f.from == nil {
			continue
		}
		switch v := strings.TrimSpace(*f.from); v {
		case "auto", "":
			*f.to = FilterChoice{Auto: true}
		case "off":
			*f.to = FilterChoice{}
		default:
			a, ok := ParseFilterAddr(v)
			if !ok {
				return wrong(f.name, v, "value_filter")
			}
			*f.to = FilterChoice{Addr: a}
		}
	}
	for _, f := range []struct {
		name string
		from *string
		to   *int
	}{{"spam_mark", e.SpamMark, &s.Filters.SpamMark}, {"spam_reject", e.SpamReject, &s.Filters.SpamReject}} {
		if f.from == nil {
			continue
		}
		n, ok := parsePoints(*f.from)
		if !ok {
			return wrong(f.name, *f.from, "value_points")
		}
		*f.to = n
	}
	if s.Filters.SpamReject < s.Filters.SpamMark {
		return wrong("spam_reject", points(s.Filters.SpamReject), "value_spam_reject")
	}
	for _, f := range []struct {
		name string
		from *string
		to   *Down
	}{{"spam_down", e.SpamDown, &s.Filters.SpamDown}, {"virus_down", e.VirusDown, &s.Filters.VirusDown}} {
		if f.from == nil {
			continue
		}
		d := Down(*f.from)
		if d != DownDefer && d != DownPass {
			return wrong(f.name, *f.from, "value_down")
		}
		*f.to = d
	}
	return nil
}

// mostPoints is the highest score that can be set, in tenths. GTUBE has a thousand points.
const mostPoints = 10_000

// parsePoints reads a score with at most one decimal into tenths.
func parsePoints(s string) (int, bool) {
	whole, tenth, is := strings.Cut(strings.TrimSpace(s), ".")
	if is && len(tenth) != 1 {
		return 0, false
	}
	if !is {
		tenth = "0"
	}
	if strings.Trim(whole+tenth, "0123456789") != "" || whole == "" || len(whole) > 4 {
		return 0, false
	}
	n, err := strconv.Atoi(whole + tenth)
	return n, err == nil && n > 0 && n <= mostPoints
}

func points(tenths int) string {
	s := strconv.Itoa(tenths / 10)
	if tenths%10 != 0 {
		s += "." + strconv.Itoa(tenths%10)
	}
	return s
}
