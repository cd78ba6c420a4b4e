package mail

import (
	"bytes"
	"strconv"
	"strings"
	"time"
)

// notedMark begins what our lines in Exim's log say.
const notedMark = "maildomain: "

// ParseLogLine reads a line of Exim's main log (Exim spec 52), without its end. False:
// it is none of ours. Ours say, right behind the time and the id of the letter where
// there is one, the seconds since 1970, a fate, and a domain as Exim's configuration
// looked it up. What a client can have logged comes after words of Exim's own, so
// nothing that anybody sends makes such a line.
func ParseLogLine(line []byte) (Noted, bool) {
	if !bytes.Contains(line, []byte(notedMark)) {
		return Noted{}, false
	}
	rest, ok := strings.CutPrefix(behindTime(string(line)), notedMark)
	if !ok {
		return Noted{}, false
	}
	field := strings.Split(rest, " ")
	if len(field) != 3 || len(field[0]) > 12 || !shaped(field[0], strings.Repeat("0", len(field[0]))) {
		return Noted{}, false
	}
	at, err := strconv.ParseInt(field[0], 10, 64)
	if err != nil {
		return Noted{}, false
	}
	for f, name := range fateNames {
		if field[1] != name {
			continue
		}
		n, err := ParseName(field[2])
		return Noted{time.Unix(at, 0).UTC(), Fate(f), n}, err == nil && n.String() == field[2]
	}
	return Noted{}, false
}

// behindTime is a line without its beginning: date and time; milliseconds, zone and
// process where Exim is told to log them (log_selector, log_timezone); and the id of
// the letter. Empty for what begins otherwise.
func behindTime(line string) string {
	line, ok := cutShape(line, "0000-00-00 00:00:00")
	if !ok {
		return ""
	}
	line, _ = cutShape(line, ".000")
	if l, ok := cutShape(line, " +0000"); ok {
		line = l
	} else {
		line, _ = cutShape(line, " -0000")
	}
	if l, ok := strings.CutPrefix(line, " ["); ok {
		pid, l, ok := strings.Cut(l, "]")
		if !ok || !shaped(pid, strings.Repeat("0", len(pid))) {
			return ""
		}
		line = l
	}
	line, ok = strings.CutPrefix(line, " ")
	if !ok {
		return ""
	}
	for _, id := range []string{"xxxxxx-xxxxxx-xx ", "xxxxxx-xxxxxxxxxxx-xxxx "} { // up to Exim 4.96, and since 4.97
		if l, ok := cutShape(line, id); ok {
			return l
		}
	}
	return line
}

// cutShape takes off what has a shape: 0 is a digit, x a digit or letter, and
// everything else itself.
func cutShape(s, shape string) (rest string, ok bool) {
	if len(s) < len(shape) || !shaped(s[:len(shape)], shape) {
		return s, false
	}
	return s[len(shape):], true
}

func shaped(s, shape string) bool {
	for i := range len(s) {
		c := s[i]
		digit := '0' <= c && c <= '9'
		switch shape[i] {
		case '0':
			if !digit {
				return false
			}
		case 'x':
			if !digit && !('a' <= c && c <= 'z') && !('A' <= c && c <= 'Z') {
				return false
			}
		default:
			if c != shape[i] {
				return false
			}
		}
	}
	return s != ""
}
