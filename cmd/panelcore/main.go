// Command panelcore is the reference panel core: it knows users and sessions, serves the
// panel's one address /ispmgr, and has everything else done by modules that it
// finds in DATA/modules.d. See README.md.
package main

import (
	"errors"
	"fmt"
	"os"

	"github.com/alecthomas/kong"

	"maildomain/cmd/panelcore/core"
)

// version is set by the linker: -X main.version=…
var version = "0.1.0-dev"

// execModule is the word after which this program becomes a module's program; it
// is for the core itself (see core.ExecModule).
const execModule = "exec-module"

type commands struct {
	Serve   serveCmd   `cmd:"" help:"Run the panel core."`
	Ctl     ctlCmd     `cmd:"" help:"Call a function of the running core, as a script does."`
	Version versionCmd `cmd:"" help:"Print the version."`
}

func main() {
	if len(os.Args) > 2 && os.Args[1] == execModule {
		fmt.Fprintln(os.Stderr, "panelcore:", core.ExecModule(os.Args[2:]))
		os.Exit(1)
	}
	for _, name := range []string{"LISTEN", "DATA", "DEMO_PASSWORD"} {
		if os.Getenv(name) == "" {
			os.Unsetenv(name) // make passes empty ones on; they mean the default
		}
	}
	var cli commands
	parser := kong.Must(&cli,
		kong.Name("panelcore"),
		kong.Description("The reference core of a hosting panel: users, sessions, /ispmgr, and modules that do the work."),
		kong.UsageOnError(),
		kong.Exit(func(code int) { os.Exit(min(code, 1)) }), // 0 or 1, as scripts expect
	)
	call, err := parser.Parse(os.Args[1:])
	parser.FatalIfErrorf(err)
	if err := call.Run(); err != nil {
		if !errors.Is(err, errToldAlready) {
			fmt.Fprintln(os.Stderr, "panelcore:", err)
		}
		os.Exit(1)
	}
}

type versionCmd struct{}

// Run prints the version.
func (versionCmd) Run() error {
	fmt.Println("panelcore", version)
	return nil
}
