package ui_test

import (
	"compress/gzip"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"testing"
	"time"

	"maildomain/cmd/panelcore/internal/paneltest"
)

// wire is a client that sees what goes over the wire: it does not unpack.
func (h *person) wire(t testing.TB, path string) (length int, zipped bool) {
	t.Helper()
	h.header.Set("Accept-Encoding", "gzip")
	defer h.header.Del("Accept-Encoding")
	got := h.get(path)
	if got.status != http.StatusOK {
		t.Fatalf("%s: %d", path, got.status)
	}
	return len(got.body), got.header.Get("Content-Encoding") == "gzip"
}

// TestFirstPageOfALongListIsQuickAndSmall: 100,000 rows, of which a page shows 50.
// The time is that of the server as a client on the same machine sees it, with the
// module's share in it, against that of a page with hardly a row: so it holds on any machine.
func TestFirstPageOfALongListIsQuickAndSmall(t *testing.T) {
	p := paneltest.Start(t, paneltest.Options{})
	h := logIn(t, p, "admin")
	body := h.get("/f/shelf").body
	total, _ := h.wire(t, "/f/shelf")
	loaded := regexp.MustCompile(`(?:src|href)="(/assets/[^"#]+)`).FindAllStringSubmatch(body, -1)
	var files []string
	for _, m := range loaded {
		files = append(files, m[1])
	}
	slices.Sort(files)
	for _, file := range slices.Compact(files) {
		length, zipped := h.wire(t, file)
		if !zipped {
			t.Error(file, "is not compressed")
		}
		total += length
	}
	if total > 150_000 || len(files) < 5 {
		t.Errorf("%d bytes in %d files", total, len(files))
	}
	var took, short []time.Duration
	for range 15 {
		for path, to := range map[string]*[]time.Duration{"/f/shelf": &took, "/f/shelf.log?elid=1": &short} {
			begun := time.Now()
			h.get(path)
			*to = append(*to, time.Since(begun))
		}
	}
	slices.Sort(took)
	slices.Sort(short)
	t.Logf("%d bytes, %v in the middle, %v at most; a short page %v", total, took[len(took)/2], took[len(took)-1], short[len(short)/2])
	if took[len(took)/2] > 30*short[len(short)/2] {
		t.Errorf("%v, a short page %v", took, short)
	}
}

func TestPagesAreReadableWithoutCompression(t *testing.T) {
	p := paneltest.Start(t, paneltest.Options{})
	h := logIn(t, p, "user1")
	req := httptest.NewRequest(http.MethodGet, h.base+"/f/shelf", nil)
	req.RequestURI = ""
	plain := &http.Client{Jar: h.client.Jar, Transport: &http.Transport{DisableCompression: true}}
	resp, err := plain.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.Header.Get("Content-Encoding") != "" {
		t.Error("compressed for one who did not ask for it")
	}
	req.Header.Set("Accept-Encoding", "gzip")
	zipped, err := plain.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer zipped.Body.Close()
	if _, err := gzip.NewReader(zipped.Body); err != nil {
		t.Error("not compressed:", err)
	}
}
