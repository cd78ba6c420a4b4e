// Package browser drives a real Chromium over the panel's pages, for the tests
// beside it and for the screenshots.
package browser

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

// Program is Debian's name of the browser.
const Program = "chromium"

// A Browser is a running Chromium with a directory of its own.
type Browser struct {
	ctx    context.Context
	cancel []context.CancelFunc
	dir    string
}

// Start runs a browser without a window.
func Start() (*Browser, error) {
	path, err := exec.LookPath(Program)
	if err != nil {
		return nil, fmt.Errorf("find the browser: %w", err)
	}
	dir, err := os.MkdirTemp("", "panel-browser-")
	if err != nil {
		return nil, err
	}
	b := &Browser{dir: dir}
	options := []chromedp.ExecAllocatorOption{
		chromedp.ExecPath(path), chromedp.UserDataDir(dir), chromedp.NoFirstRun, chromedp.NoDefaultBrowserCheck, chromedp.Headless, chromedp.NoSandbox,
		chromedp.DisableGPU, chromedp.WSURLReadTimeout(time.Minute),
	}
	for _, flag := range []string{
		"disable-quic", "disable-background-networking", "disable-component-update", "disable-sync", "disable-extensions",
		"disable-default-apps", "disable-dev-shm-usage", "mute-audio", "hide-scrollbars", "metrics-recording-only",
	} {
		options = append(options, chromedp.Flag(flag, true))
	}
	ctx, cancel := chromedp.NewExecAllocator(context.Background(), options...)
	b.cancel = append(b.cancel, cancel)
	b.ctx, cancel = chromedp.NewContext(ctx)
	b.cancel = append(b.cancel, cancel)
	if err := chromedp.Do(b.ctx); err != nil {
		b.Close()
		return nil, fmt.Errorf("start the browser: %w", err)
	}
	return b, nil
}

// Close ends the browser and removes its directory.
func (b *Browser) Close() {
	if len(b.cancel) > 1 {
		_ = chromedp.Cancel(b.ctx) // waits for the process; that it is gone already is no fault
	}
	for i := len(b.cancel) - 1; i >= 0; i-- {
		b.cancel[i]()
	}
	_ = os.RemoveAll(b.dir)
}

// A Tab is a window of a person of its own: it shares no cookie with others.
type Tab struct {
	Base string // of the panel, without a path

	ctx    context.Context
	cancel context.CancelFunc
	limit  time.Duration

	mu       sync.Mutex
	requests []string // addresses that were asked for
	faults   []string // what the browser complained of
	lost     []string // requests that came to nothing
}

// Tab opens a window on the panel at base, 1280 pixels wide.
func (b *Browser) Tab(base string) (*Tab, error) {
	t := &Tab{Base: strings.TrimSuffix(base, "/"), limit: 30 * time.Second}
	t.ctx, t.cancel = chromedp.NewContext(b.ctx, chromedp.WithNewBrowserContext(), chromedp.WithListener(t.hear))
	if err := chromedp.Do(t.ctx); err != nil { // binds the window to its context
		return nil, fmt.Errorf("open a window: %w", err)
	}
	if _, err := chromedp.Call(t.ctx, network.Enable, network.EnableParams{}); err != nil {
		return nil, fmt.Errorf("watch the network: %w", err)
	}
	if _, err := chromedp.Call(t.ctx, log.Enable, cdp.Empty{}); err != nil {
		return nil, fmt.Errorf("watch the browser's log: %w", err)
	}
	return t, errors.Join(t.Size(1280, 800), t.Dark(false))
}

// Close closes the window.
func (t *Tab) Close() { t.cancel() }

func (t *Tab) hear(event any) {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch e := event.(type) {
	case *network.EventRequestWillBeSent:
		t.requests = append(t.requests, e.Request.URL)
	case *network.EventLoadingFailed:
		t.lost = append(t.lost, fmt.Sprintf("%s %s", e.Type, e.ErrorText))
	case *runtime.EventExceptionThrown:
		text := e.ExceptionDetails.Text
		if x := e.ExceptionDetails.Exception; x != nil {
			text += " " + x.Description
		}
		t.faults = append(t.faults, "exception: "+text)
	case *runtime.EventConsoleAPICalled:
		if e.Type == "error" {
			for _, a := range e.Args {
				t.faults = append(t.faults, "console: "+string(a.Value)+a.Description)
			}
		}
	case *log.EventEntryAdded:
		if e.Entry.Source == "security" || strings.Contains(e.Entry.Text, "Content Security Policy") {
			t.faults = append(t.faults, fmt.Sprintf("policy: %s:%d: %s", e.Entry.URL, e.Entry.LineNumber, e.Entry.Text))
		}
	case *page.EventJavascriptDialogOpening:
		t.faults = append(t.faults, "a box of the browser's own opened: "+e.Message)
	}
}

// Requests are the addresses that the window asked for.
func (t *Tab) Requests() []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return append([]string(nil), t.requests...)
}

// Faults are errors of scripts, and what the policy of the page forbade.
func (t *Tab) Faults() []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return append([]string(nil), t.faults...)
}

// Lost are requests that came to nothing, each with the browser's word for why.
// Those that a new page makes pointless are among them.
func (t *Tab) Lost() []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return append([]string(nil), t.lost...)
}

// Do runs actions within a bounded time.
func (t *Tab) Do(actions ...chromedp.Action[chromedp.Void]) error {
	ctx, cancel := context.WithTimeout(t.ctx, t.limit)
	defer cancel()
	return chromedp.Do(ctx, actions...)
}

// Size makes the window that big; below 600 pixels it is a telephone's.
func (t *Tab) Size(width, height int64) error {
	var options []chromedp.EmulateViewportOption
	if width < 600 {
		options = append(options, chromedp.EmulateMobile, chromedp.EmulateTouch, chromedp.EmulatePortrait)
	}
	return t.Do(chromedp.EmulateViewport(width, height, options...))
}

// Dark says which colours the person's system prefers.
func (t *Tab) Dark(dark bool) error {
	value := "light"
	if dark {
		value = "dark"
	}
	_, err := chromedp.Call(t.ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{
		{Name: "prefers-color-scheme", Value: value}, {Name: "prefers-reduced-motion", Value: "reduce"},
	}})
	return err
}

// Slow has every answer take at least so long, in milliseconds.
func (t *Tab) Slow(latency float64) error {
	slow := &network.Conditions{Latency: latency, DownloadThroughput: -1, UploadThroughput: -1}
	_, err := chromedp.Call(t.ctx, network.EmulateNetworkConditionsByRule, network.EmulateNetworkConditionsByRuleParams{MatchedNetworkConditions: []*network.Conditions{slow}})
	return err
}

// Open goes to a path of the panel.
func (t *Tab) Open(path string) error {
	return t.Do(chromedp.Navigate(t.Base + path))
}

// Eval runs a script in the page of t and returns its value.
func Eval[T any](t *Tab, script string) (T, error) {
	ctx, cancel := context.WithTimeout(t.ctx, t.limit)
	defer cancel()
	v, err := chromedp.Run(ctx, chromedp.Evaluate[T](script, chromedp.EvalAwaitPromise))
	if err != nil {
		err = fmt.Errorf("run %.120q: %w", script, err)
	}
	return v, err
}

// errNotSeen says that something did not come to be.
var errNotSeen = errors.New("not seen within the time")

// Until waits until a script's value is true.
func (t *Tab) Until(script string) error {
	for end := time.Now().Add(t.limit); ; time.Sleep(15 * time.Millisecond) {
		is, err := Eval[bool](t, "Boolean("+script+")")
		if err == nil && is {
			return nil
		}
		if time.Now().After(end) {
			text, _ := Eval[string](t, "location.pathname + '\\n' + document.body.innerText.slice(0, 1500)")
			return fmt.Errorf("%s: %w: %v; the page is %s", script, errNotSeen, err, text)
		}
	}
}

// LogIn logs a user in and waits for the start page.
func (t *Tab) LogIn(user, password string) error {
	if err := t.Open("/login"); err != nil {
		return err
	}
	if err := t.Do(
		chromedp.SetValue(chromedp.CSS("#username"), user), chromedp.SetValue(chromedp.CSS("#password"), password),
		chromedp.Click(chromedp.CSS("main form button[type=submit]")),
	); err != nil {
		return err
	}
	return t.Until("document.querySelector('#nav') && document.readyState == 'complete' && window.htmx")
}

// Picture returns what is seen in the window, as PNG.
func (t *Tab) Picture() ([]byte, error) {
	ctx, cancel := context.WithTimeout(t.ctx, t.limit)
	defer cancel()
	return chromedp.Run(ctx, chromedp.CaptureScreenshot())
}
