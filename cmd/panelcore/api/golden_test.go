package api_test

import (
	"encoding/json"
	"encoding/xml"
	"flag"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/tools/txtar"

	"maildomain/cmd/panelcore/internal/paneltest"
)

var update = flag.Bool("update", false, "write the golden files anew")

// TestAnswersInEachForm holds the answers against testdata/*.txtar. The comment of
// an archive is the user and the query of the call, its files are the answers.
func TestAnswersInEachForm(t *testing.T) {
	p := paneltest.Start(t, paneltest.Options{})
	paths, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(paths) == 0 {
		t.Fatal(paths, err)
	}
	for _, path := range paths {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".txtar"), func(t *testing.T) {
			want, err := txtar.ParseFile(path)
			if err != nil {
				t.Fatal(err)
			}
			user, query, _ := strings.Cut(strings.TrimSpace(string(want.Comment)), " ")
			got := &txtar.Archive{Comment: want.Comment}
			for _, out := range []string{"xml", "json", "sjson", "text"} {
				form, err := url.ParseQuery(query)
				if err != nil {
					t.Fatal(err)
				}
				form.Set("authinfo", user+":"+paneltest.Password)
				form.Set("out", out)
				body, header := p.Do(t, form, nil)
				wellFormed(t, out, body)
				if typ := header.Get("Content-Type"); typ != contentTypes[out] {
					t.Errorf("%s: Content-Type %s", out, typ)
				}
				if id := header.Get("X-Request-Id"); id != "" {
					body = strings.ReplaceAll(body, id, "REQUEST")
				}
				got.Files = append(got.Files, txtar.File{Name: out, Data: []byte(body)})
			}
			if *update {
				if err := os.WriteFile(path, txtar.Format(got), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if d := cmp.Diff(string(txtar.Format(want)), string(txtar.Format(got))); d != "" {
				t.Error(d)
			}
		})
	}
}

var contentTypes = map[string]string{
	"xml": "text/xml; charset=utf-8", "json": "application/json; charset=utf-8",
	"sjson": "application/json; charset=utf-8", "text": "text/plain; charset=utf-8",
}

func wellFormed(t *testing.T, out, body string) {
	t.Helper()
	switch out {
	case "json", "sjson":
		if !json.Valid([]byte(body)) {
			t.Errorf("no JSON: %s", body)
		}
	case "xml":
		for d := xml.NewDecoder(strings.NewReader(body)); ; {
			if _, err := d.Token(); err == io.EOF {
				return
			} else if err != nil {
				t.Fatalf("no XML: %v: %s", err, body)
			}
		}
	}
}
