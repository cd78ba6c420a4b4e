package mail

import (
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestTXTStringsHaveAtMost255Bytes(t *testing.T) {
	for n, want := range map[int][]int{0: {0}, 1: {1}, 255: {255}, 256: {255, 1}, 510: {255, 255}, 511: {255, 255, 1}} {
		var got []int
		for _, s := range SplitTXT(strings.Repeat("x", n)) {
			got = append(got, len(s))
		}
		if !slices.Equal(got, want) {
			t.Errorf("%d bytes: %v, want %v", n, got, want)
		}
	}
}

func TestZoneFileStringsAreRead(t *testing.T) {
	for s, want := range map[string]TXT{
		`"a" "b c"`:               {"a", "b c"},
		"\"a\"\n\t  \"b\"":        {"a", "b"},
		`a "b;c" d`:               {"a", "b;c", "d"},
		`"say \"hi\" \\ \065"`:    {`say "hi" \ A`},
		`""`:                      {""},
		`"\000\255"`:              {"\x00\xff"},
		`"` + "\u00e4" + `" x\;y`: {"\u00e4", "x;y"},
	} {
		if got, err := ParseTXT(s); err != nil || !slices.Equal(got, want) {
			t.Errorf("%s: %q, %v", s, got, err)
		}
	}
	for _, s := range []string{"", " ", `"a`, `"a"b`, `a"b`, `\`, `"\25"`, `"\256"`, `"\`, "a;b", "( a )", `"` + strings.Repeat("x", 256) + `"`} {
		if got, err := ParseTXT(s); err == nil {
			t.Errorf("%s is read as %q", s, got)
		}
	}
}

func TestWrittenTXTIsReadBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := string(rapid.SliceOfN(rapid.Byte(), 0, 700).Draw(t, "text"))
		split := SplitTXT(text)
		got, err := ParseTXT(split.String())
		if err != nil || !slices.Equal(got, split) || got.Join() != text {
			t.Fatalf("%q came back as %q, %v", text, got, err)
		}
		if strings.ContainsAny(split.String(), "\n\r\x00") {
			t.Fatalf("a line break in %q", split)
		}
	})
}
