package ui

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"html/template"
	"io/fs"
	"net/http"
	"path"
	"strings"
)

// The files that pages load. htmx.min.js is htmx.org 2.0.11 from npm as it is
// (htmx.LICENSE), icons/ are pictures of lucide-static 1.62.0 (icons/LICENSE).
//
//go:embed assets/app.css assets/app.js assets/favicon.svg assets/htmx.min.js assets/icons/*.svg
var assetFiles embed.FS

type asset struct {
	contentType string
	plain       []byte
	zipped      []byte
	version     string
}

var assets = loadAssets()

func loadAssets() map[string]*asset {
	all := map[string]*asset{}
	for name, contentType := range map[string]string{
		"app.css": "text/css; charset=utf-8", "app.js": "text/javascript; charset=utf-8", "htmx.min.js": "text/javascript; charset=utf-8",
		"favicon.svg": "image/svg+xml",
	} {
		b, err := assetFiles.ReadFile("assets/" + name)
		if err != nil {
			panic(err) // it is embedded
		}
		all[name] = newAsset(contentType, b)
	}
	all["icons.svg"] = newAsset("image/svg+xml", sprite())
	return all
}

func newAsset(contentType string, b []byte) *asset {
	var z bytes.Buffer
	w, _ := gzip.NewWriterLevel(&z, gzip.BestCompression)
	w.Write(b) // into memory
	w.Close()
	sum := sha256.Sum256(b)
	return &asset{contentType, b, z.Bytes(), hex.EncodeToString(sum[:6])}
}

// sprite puts the icons into one file, each a symbol of its name.
func sprite() []byte {
	var b bytes.Buffer
	b.WriteString(`<svg xmlns="http://www.w3.org/2000/svg">`)
	files, err := fs.Glob(assetFiles, "assets/icons/*.svg")
	if err != nil {
		panic(err) // the pattern is one
	}
	for _, file := range files {
		svg, err := assetFiles.ReadFile(file)
		if err != nil {
			panic(err) // it is embedded
		}
		_, drawing, _ := strings.Cut(string(svg), "<svg")
		_, drawing, _ = strings.Cut(drawing, ">")
		drawing, _, _ = strings.Cut(drawing, "</svg>")
		b.WriteString(`<symbol id="` + strings.TrimSuffix(path.Base(file), ".svg") + `" viewBox="0 0 24 24">` +
			strings.Join(strings.Fields(drawing), " ") + `</symbol>`)
	}
	b.WriteString(`</svg>`)
	return b.Bytes()
}

// assetURL is the address of a file that pages load. It names the content, so
// that browsers may keep it.
func assetURL(name string) string { return "/assets/" + name + "?v=" + assets[name].version }

func iconHTML(name string) template.HTML {
	return template.HTML(`<svg class="icon" aria-hidden="true" focusable="false"><use href="` +
		assetURL("icons.svg") + "#" + template.HTMLEscapeString(name) + `"/></svg>`)
}

func serveAsset(w http.ResponseWriter, r *http.Request) {
	a := assets[r.PathValue("name")]
	if a == nil {
		http.NotFound(w, r)
		return
	}
	h := w.Header()
	h.Set("Content-Type", a.contentType)
	h.Set("Vary", "Accept-Encoding")
	if r.URL.Query().Get("v") == a.version {
		h.Set("Cache-Control", "public, max-age=31536000, immutable")
	}
	if strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") {
		h.Set("Content-Encoding", "gzip")
		w.Write(a.zipped)
		return
	}
	w.Write(a.plain)
}
