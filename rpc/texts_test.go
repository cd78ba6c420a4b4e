package rpc

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// textKey is what names a sentence about an error: its kind, and what it is about.
var textKey = regexp.MustCompile(`^(value|missed|exists|access|limit|auth|busy|cancelled|unavailable|internal|acme)_[a-z0-9_]+$`)

// Every sentence that the sources name stands in the catalogue of both languages.
func TestEveryErrorThatIsNamedHasItsSentence(t *testing.T) {
	seen := map[string]bool{}
	for _, top := range []string{"../module", "."} {
		err := filepath.WalkDir(top, func(p string, e fs.DirEntry, err error) error {
			if err != nil || e.IsDir() || !strings.HasSuffix(p, ".go") || strings.HasSuffix(p, "_test.go") {
				return err
			}
			f, err := parser.ParseFile(token.NewFileSet(), p, nil, parser.SkipObjectResolution)
			if err != nil {
				return err
			}
			for _, key := range named(f) {
				seen[key] = true
				for _, lang := range []string{"en", "ru"} {
					if _, ok := message(lang, "msgerror", "msg_error_"+key); !ok {
						t.Errorf("%s names %q, which has no sentence in %s", p, key, lang)
					}
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, key := range []string{"value_name", "value_aliases_forward", "value_change", "exists_box", "missed_domain_of_box", "unavailable_publish", "limit_ssl"} {
		if !seen[key] {
			t.Errorf("%q was not found in the sources: the test looks at the wrong things", key)
		}
	}
	// Those that are put together from the name of a limit.
	for _, limit := range []string{"emaildomains", "emails", "email_quota"} {
		if _, ok := message("en", "msgerror", "msg_error_limit_"+limit); !ok {
			t.Errorf("limit %q has no sentence", limit)
		}
	}
}

// named are the sentences that a file names: as the text of an error, or as an
// argument of wrong or notHere.
func named(f *ast.File) (keys []string) {
	add := func(e ast.Expr) {
		if l, ok := e.(*ast.BasicLit); ok && l.Kind == token.STRING {
			if s, err := strconv.Unquote(l.Value); err == nil && textKey.MatchString(s) {
				keys = append(keys, s)
			}
		}
	}
	ast.Inspect(f, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.KeyValueExpr:
			if k, ok := n.Key.(*ast.Ident); ok && k.Name == "Text" {
				add(n.Value)
			}
		case *ast.CallExpr:
			if f, ok := n.Fun.(*ast.Ident); ok && (f.Name == "wrong" || f.Name == "notHere") {
				for i, a := range n.Args {
					if l, ok := a.(*ast.BasicLit); i == 0 && ok && strings.HasPrefix(l.Value, `"acme_`) {
						continue // a field
					}
					add(a)
				}
			}
		}
		return true
	})
	return keys
}
