package files

import (
	"fmt"
	"path"
	"strings"
)

// EximLog is where Exim was built to log to.
func (l Layout) EximLog() string {
	if l.Name == RHEL.Name {
		return "var/log/exim/main.log"
	}
	return "var/log/exim4/mainlog"
}

// eximLog is Exim's main log, as the administrator's macros have it or else as it was
// built. ErrNoLog: it logs by syslog alone, or to files with a date in their names.
func (t *Tree) eximLog() (string, error) {
	text, err := t.small(path.Join(t.layout.Hooks(), "macros.conf"))
	if err != nil {
		return "", fmt.Errorf("find out where Exim logs to: %w", err)
	}
	set, is := macro(text, "MD_LOG")
	if !is {
		return t.layout.EximLog(), nil
	}
	list, separator := strings.TrimSpace(set), ":"
	if rest, ok := strings.CutPrefix(list, "<"); ok && rest != "" {
		list, separator = rest[1:], rest[:1]
	}
	// Exim spec 52.1: the first path counts, an empty item is the one it was built with.
	for item := range strings.SplitSeq(list, separator) {
		switch item = strings.TrimSpace(item); {
		case item == "syslog":
		case item == "":
			return t.layout.EximLog(), nil
		case strings.Contains(item, "%D"), strings.Contains(item, "%M"), strings.Count(item, "%") != 1:
			return "", ErrNoLog
		default:
			return strings.TrimPrefix(path.Clean("/"+strings.Replace(item, "%s", "main", 1)), "/"), nil
		}
	}
	return "", ErrNoLog
}

// macro is what a macro is set to in a file of Exim's configuration, the last time.
func macro(text []byte, name string) (value string, set bool) {
	for line := range strings.Lines(strings.ReplaceAll(string(text), "\\\n", "")) {
		n, v, is := strings.Cut(line, "=")
		if is && strings.TrimSpace(n) == name {
			value, set = strings.TrimSpace(strings.TrimPrefix(v, "=")), true
		}
	}
	return value, set
}
