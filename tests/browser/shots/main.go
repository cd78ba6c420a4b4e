// Command shots makes the pictures of the pages that the README shows: it runs
// the panel with some data in a temporary directory, and a browser over it.
package main

import (
	"bytes"
	"context"
	"fmt"
	"image"
	"image/draw"
	"image/png"
	"os"
	"path/filepath"
	"strings"

	"maildomain/tests/browser"
	"maildomain/tests/world"
)

// A shot is one picture. Its steps are scripts, each with what to wait for.
type shot struct {
	file  string
	phone bool
	dark  bool
	path  string
	steps [][2]string
}

var shots = []shot{
	{file: "list-light", path: "/f/emaildomain", steps: [][2]string{
		{`document.querySelectorAll('.picked')[2].click(), document.querySelectorAll('.picked')[4].click()`, `document.querySelectorAll('tr.chosen').length == 2`},
		{`document.querySelectorAll('.morebtn')[4].click()`, `!document.querySelector('#rowmenu').hidden`},
	}},
	{file: "list-dark", dark: true, path: "/f/emaildomain"},
	{file: "preview-light", path: "/f/emaildomain.edit?elid=shop.example", steps: [][2]string{preview}},
	{file: "preview-dark", dark: true, path: "/f/emaildomain.edit?elid=shop.example", steps: [][2]string{preview}},
	{file: "phone-list-light", phone: true, path: "/f/emaildomain"},
	{file: "phone-form-dark", phone: true, dark: true, path: "/f/emaildomain.edit", steps: [][2]string{
		{`document.querySelector('#f-name').value = 'не имя!', document.querySelector('[data-default]').click()`, `document.querySelector('.field .error')`},
	}},
	{file: "records-light", path: "/f/emaildomain.dns?elid=example.com"},
	{file: "certificate-light", path: "/f/emaildomain.ssl?elid=example.com"},
	{file: "settings-dark", dark: true, path: "/f/mailparam", steps: [][2]string{
		{`document.querySelectorAll('details.section').forEach(d => { d.open = d.dataset.section == 'certificates' })`, `document.querySelector('#f-acme_directory').offsetParent`},
	}},
	{file: "mailboxes-dark", dark: true, path: "/f/email"},
	{file: "question-light", path: "/f/emaildomain", steps: [][2]string{
		{`document.querySelectorAll('.picked')[1].click(), document.querySelectorAll('.picked')[3].click()`, `document.querySelectorAll('tr.chosen').length == 2`},
		{`document.querySelector('.toolbar [data-func="emaildomain.delete"]').click()`, `document.querySelector('#confirm').open`},
	}},
}

var preview = [2]string{
	`document.querySelector('#f-redirval').value = 'orders@shop.example.org', document.querySelector('[name=_preview]').click()`,
	`document.querySelector('.preview .diff')`,
}

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: shots PROGRAMS DIRECTORY")
		os.Exit(2)
	}
	if err := run(os.Args[1], os.Args[2]); err != nil {
		fmt.Fprintln(os.Stderr, "shots:", err)
		os.Exit(1)
	}
}

func run(programs, out string) error {
	data, err := os.MkdirTemp("", "panel-shots-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(data)
	bin, err := filepath.Abs(programs)
	if err != nil {
		return err
	}
	w, err := world.Open(world.Options{Data: data, Bin: bin})
	if err != nil {
		return err
	}
	defer w.Stop()
	if err := fill(w); err != nil {
		return err
	}
	b, err := browser.Start()
	if err != nil {
		return err
	}
	defer b.Close()
	t, err := b.Tab(strings.TrimSuffix(w.URL, "/ispmgr"))
	if err != nil {
		return err
	}
	defer t.Close()
	if err := t.LogIn("admin", world.Password); err != nil {
		return err
	}
	for _, s := range shots {
		picture, err := s.take(t)
		if err != nil {
			return fmt.Errorf("%s: %w", s.file, err)
		}
		if err := os.WriteFile(filepath.Join(out, s.file+".png"), picture, 0o644); err != nil {
			return err
		}
		fmt.Printf("%-18s %3d KB\n", s.file, len(picture)/1024)
	}
	return nil
}

func (s shot) take(t *browser.Tab) ([]byte, error) {
	width, height := int64(1280), int64(690)
	if s.phone {
		width, height = 390, 844
	}
	if err := t.Size(width, height); err != nil {
		return nil, err
	}
	if err := t.Dark(s.dark); err != nil {
		return nil, err
	}
	if err := t.Open(s.path); err != nil {
		return nil, err
	}
	if err := t.Until("window.htmx && document.documentElement.dataset.arrived"); err != nil {
		return nil, err
	}
	for _, step := range s.steps {
		if _, err := browser.Eval[bool](t, "("+step[0]+", true)"); err != nil {
			return nil, err
		}
		if err := t.Until(step[1] + " && !document.querySelector('.htmx-request')"); err != nil {
			return nil, err
		}
	}
	b, err := t.Picture()
	if err != nil {
		return nil, err
	}
	return smaller(b)
}

// smaller packs a picture more tightly than a browser does, in colours so close
// to its own that nobody sees it.
func smaller(b []byte) ([]byte, error) {
	decoded, err := png.Decode(bytes.NewReader(b))
	if err != nil {
		return nil, fmt.Errorf("read the picture: %w", err)
	}
	picture := image.NewRGBA(decoded.Bounds())
	draw.Draw(picture, picture.Bounds(), decoded, image.Point{}, draw.Src)
	for i, c := range picture.Pix {
		if picture.Pix[i] = c &^ 3; c >= 252 {
			picture.Pix[i] = 255 // white stays white, and what is opaque is
		}
	}
	var out bytes.Buffer
	if err := (&png.Encoder{CompressionLevel: png.BestCompression}).Encode(&out, picture); err != nil {
		return nil, fmt.Errorf("pack the picture: %w", err)
	}
	return out.Bytes(), nil
}

// fill makes domains as a small host has them.
func fill(w *world.World) error {
	for _, d := range [][]string{
		{"user1", "name", "shop.example", "defaction", "redirect", "redirval", "orders@partner.example"},
		{"user1", "name", "blog.shop.example", "ipsrc", "manual", "ip", "127.0.0.12"},
		{"user1", "name", "пекарня.example"},
		{"user2", "name", "garden-club.example", "defaction", "ignore"},
		{"user2", "name", "garden-club.example.org", "defaction", "redirdomain", "redirval", "garden-club.example"},
		{"user3", "name", "harbour.example"},
		{"user3", "name", "harbour-tours.example", "defaction", "redirect", "redirval", "office@harbour.example"},
		{"reseller1", "name", "hosting-partner.example"},
		{"reseller1", "name", "status.hosting-partner.example"},
		{"admin", "name", "newsletter.example", "defaction", "ignore"},
		{"admin", "name", "old-brand.example", "defaction", "redirdomain", "redirval", "newsletter.example"},
		{"user1", "name", "example.com", "dkim", "on", "dmarc", "on", "secure", "on"},
	} {
		a, err := w.Call(context.Background(), d[0], "emaildomain.edit", append(d[1:], "sok", "ok")...)
		if err != nil || a.Error != "" {
			return fmt.Errorf("make %s: %s %s: %w", d[2], a.Error, a.Msg, err)
		}
	}
	for _, b := range [][]string{
		{"name", "orders", "domainname", "shop.example", "maxsize", "2048", "aliases", "sales info"},
		{"name", "anna", "domainname", "shop.example", "forward", "anna@elsewhere.example", "note", "leaves in March"},
		{"name", "post", "domainname", "example.com"},
	} {
		a, err := w.Call(context.Background(), "admin", "email.edit", append(b, "passwd", "a secret word", "confirm", "a secret word", "sok", "ok")...)
		if err != nil || a.Error != "" {
			return fmt.Errorf("make %s: %s %s: %w", b[1], a.Error, a.Msg, err)
		}
	}
	a, err := w.Call(context.Background(), "admin", "emaildomain.suspend", "elid", "harbour.example")
	if err != nil || a.Error != "" {
		return fmt.Errorf("suspend a domain: %s: %w", a.Error, err)
	}
	return nil
}
