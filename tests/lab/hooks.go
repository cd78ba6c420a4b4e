package lab

import (
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"maildomain/module/files"
)

// Exim retries to listen for minutes by default; a test is to hear of it at once.
const mainOptions = `
daemon_startup_retries = 0
notifier_socket =
dns_retry = 1
`

// toSink stands before every other router for foreign domains.
const toSink = `lab_sink:
  driver = manualroute
  domains = ! +mail_domains : ! +own_names
  route_data = <;%s
  self = send
  transport = MD_TRANSPORT
  no_more

`

// writeHooks fills dir with what the lab adds to the configuration: the hooks
// of root as they are now, and macros and routers of the lab's.
func (x *Exim) writeHooks(dir string) error {
	sink := netip.MustParseAddrPort("127.0.0.1:9") // nobody listens there: foreign mail waits in the queue
	if x.opts.Sink != "" {
		var err error
		if sink, err = netip.ParseAddrPort(x.opts.Sink); err != nil {
			return fmt.Errorf("read address of the sink: %w", err)
		}
	}
	before, after := map[string]string{}, map[string]string{"main.conf": mainOptions, "macros.conf": x.macros(sink.Port())}
	if x.opts.DNS == "" {
		before["routers_outgoing.conf"] = fmt.Sprintf(toSink, sink.Addr())
	}
	for _, name := range hooks {
		theirs, err := os.ReadFile(filepath.Join(x.opts.Root, files.Debian.Hooks(), name))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("copy hook: %w", err)
		}
		// Also where it is empty: an earlier run may have left another there.
		text := before[name] + string(theirs) + after[name]
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			return fmt.Errorf("write hook: %w", err)
		}
	}
	return nil
}

// hooks are the files that the configuration includes.
var hooks = []string{
	"macros.conf", "main.conf", "acl_connect.conf", "acl_rcpt.conf", "routers.conf",
	"routers_outgoing.conf", "transports.conf", "retry.conf", "authenticators.conf",
}

// insideAddr is an address of Exim's at which this machine is no stranger.
const insideAddr = "127.0.0.3"

// Inside is the address at which this machine may send anywhere, as in life it may at
// every one: Dovecot hands over there what Sieve sends.
func (x *Exim) Inside() string {
	return netip.AddrPortFrom(netip.MustParseAddr(insideAddr), x.listen.Port()).String()
}

// listenOn is Exim's local_interfaces.
func (x *Exim) listenOn() string {
	on := []string{x.listen.String(), x.services.Submission, x.services.Submissions}
	if !x.listen.Addr().IsUnspecified() {
		on = append(on, x.Inside())
	}
	for i, addr := range on {
		a := netip.MustParseAddrPort(addr)
		on[i] = fmt.Sprintf("[%s]:%d", a.Addr(), a.Port())
	}
	return "<; " + strings.Join(on, " ; ")
}

// macros sets what the lab must decide, also where a hook of root's has set it.
func (x *Exim) macros(outPort uint16) string {
	relay := append([]string{"${if eq{$received_ip_address}{" + insideAddr + "}{127.0.0.1}{127.255.255.253}}"}, x.opts.Relay...)
	set := [][2]string{
		{"MD_HOSTNAME", x.opts.Hostname},
		{"MD_LISTEN_ON", x.listenOn()},
		{"MD_SMTP_PORTS", strconv.Itoa(int(x.listen.Port()))},
		{"MD_STARTTLS_PORTS", strconv.Itoa(int(port(x.services.Submission)))},
		{"MD_TLS_PORTS", strconv.Itoa(int(port(x.services.Submissions)))},
		{"MD_OUT_PORT", strconv.Itoa(int(outPort))},
		{"MD_RELAY_FROM", "<; " + strings.Join(relay, " ; ")},
		{"MD_PID", pidFile},
		{"MD_SELF", insideAddr},
	}
	var b strings.Builder
	for _, m := range set {
		fmt.Fprintf(&b, "\n.ifdef %s\n%[1]s == %[2]s\n.else\n%[1]s = %[2]s\n.endif\n", m[0], m[1])
	}
	if x.opts.DNS != "" { // loopback addresses stand for the world, unless a test says otherwise
		b.WriteString("\n.ifndef MD_NOT_A_TARGET\nMD_NOT_A_TARGET =\n.endif\n")
	}
	return b.String()
}
