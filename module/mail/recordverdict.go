package mail

// A State is what a check came to.
type State string

// The states.
const (
	Right   State = "right"
	Wrong   State = "wrong"
	Unknown State = "unknown" // could not ask
)

// A Verdict is what a check has to say, for a person to act on.
type Verdict struct {
	State    State
	Text     string            // names the sentence in the message catalogue: what to do
	Args     map[string]string // what fills its placeholders
	Proposal string            // the value that would mend it; empty: none, or nothing to mend
}

// ErrorText is the argument of a verdict that names the sentence of what fills "error",
// where that has one.
const ErrorText = "error_text"

// The sentences of verdicts, by their names in the message catalogue. Each is one
// sentence that says what to do; the names in brackets are its placeholders.
const (
	CheckOK              = "check_ok"
	CheckMissing         = "check_missing"          // [name type value]
	CheckMXElsewhere     = "check_mx_elsewhere"     // [host value]
	CheckMXNull          = "check_mx_null"          // [value]
	CheckMXUnresolved    = "check_mx_unresolved"    // [host]
	CheckSPFSeveral      = "check_spf_several"      // [count value]
	CheckSPFBroken       = "check_spf_broken"       // [error value]
	CheckSPFDenies       = "check_spf_denies"       // [ip result value]
	CheckSPFUnasked      = "check_spf_unasked"      // [error]
	CheckDKIMSeveral     = "check_dkim_several"     // [name value]
	CheckDKIMBroken      = "check_dkim_broken"      // [name error value]
	CheckDKIMOther       = "check_dkim_other"       // [name value]
	CheckDKIMRevoked     = "check_dkim_revoked"     // [name value]
	CheckDKIMTesting     = "check_dkim_testing"     // [name value]
	CheckDKIMNarrow      = "check_dkim_narrow"      // [name value]
	CheckDMARCSeveral    = "check_dmarc_several"    // [name value]
	CheckDMARCBroken     = "check_dmarc_broken"     // [name error value]
	CheckDMARCDiffers    = "check_dmarc_differs"    // [name differences value]
	CheckDMARCReports    = "check_dmarc_reports"    // [name value]
	CheckHostOther       = "check_host_other"       // [name found value]
	CheckCNAME           = "check_cname"            // [name target]
	CheckStale           = "check_stale"            // [servers]
	CheckCached          = "check_cached"           // [servers]
	CheckSilent          = "check_silent"           // [servers error]
	CheckUnasked         = "check_unasked"          // [error]
	CheckResolverOnly    = "check_resolver_only"    // [error]
	CheckAddressForeign  = "check_address_foreign"  // [ip]
	CheckPTRMissing      = "check_ptr_missing"      // [ip helo]
	CheckPTRUnconfirmed  = "check_ptr_unconfirmed"  // [ip host]
	CheckHELODiffers     = "check_helo_differs"     // [ip helo host]
	CheckHELOUnconfirmed = "check_helo_unconfirmed" // [ip helo]

	// About certificates that mail servers show.
	CheckTLSServed    = "check_tls_served"    // [date]
	CheckTLSUntrusted = "check_tls_untrusted" // [date error]
	CheckTLSExpired   = "check_tls_expired"   // [date]
	CheckTLSMissing   = "check_tls_missing"   // [name]
	CheckTLSWaits     = "check_tls_waits"     // [name]
	CheckTLSOther     = "check_tls_other"     // [ports found]
	CheckTLSHandshake = "check_tls_handshake" // [ports error]
	CheckTLSNone      = "check_tls_none"      // [ports]
	CheckTLSBack      = "check_tls_back"      // [ports error]; besides: fingerprint, of what was put back
	CheckTLSSilent    = "check_tls_silent"    // [ports error since]
	CheckTLSNobody    = "check_tls_nobody"    // [ports since]
)

// CheckTexts is every sentence above, with its placeholders.
var CheckTexts = map[string][]string{
	CheckOK:              {},
	CheckMissing:         {"name", "type", "value"},
	CheckMXElsewhere:     {"host", "value"},
	CheckMXNull:          {"value"},
	CheckMXUnresolved:    {"host"},
	CheckSPFSeveral:      {"count", "value"},
	CheckSPFBroken:       {"error", "value"},
	CheckSPFDenies:       {"ip", "result", "value"},
	CheckSPFUnasked:      {"error"},
	CheckDKIMSeveral:     {"name", "value"},
	CheckDKIMBroken:      {"name", "error", "value"},
	CheckDKIMOther:       {"name", "value"},
	CheckDKIMRevoked:     {"name", "value"},
	CheckDKIMTesting:     {"name", "value"},
	CheckDKIMNarrow:      {"name", "value"},
	CheckDMARCSeveral:    {"name", "value"},
	CheckDMARCBroken:     {"name", "error", "value"},
	CheckDMARCDiffers:    {"name", "differences", "value"},
	CheckDMARCReports:    {"name", "value"},
	CheckHostOther:       {"name", "found", "value"},
	CheckCNAME:           {"name", "target"},
	CheckStale:           {"servers"},
	CheckCached:          {"servers"},
	CheckSilent:          {"servers", "error"},
	CheckUnasked:         {"error"},
	CheckResolverOnly:    {"error"},
	CheckAddressForeign:  {"ip"},
	CheckPTRMissing:      {"ip", "helo"},
	CheckPTRUnconfirmed:  {"ip", "host"},
	CheckHELODiffers:     {"ip", "helo", "host"},
	CheckHELOUnconfirmed: {"ip", "helo"},
	CheckTLSServed:       {"date"},
	CheckTLSUntrusted:    {"date", "error"},
	CheckTLSExpired:      {"date"},
	CheckTLSMissing:      {"name"},
	CheckTLSWaits:        {"name"},
	CheckTLSOther:        {"ports", "found"},
	CheckTLSHandshake:    {"ports", "error"},
	CheckTLSNone:         {"ports"},
	CheckTLSBack:         {"ports", "error"},
	CheckTLSSilent:       {"ports", "error", "since"},
	CheckTLSNobody:       {"ports", "since"},
}

// right is the verdict about what stands as it should.
func right() Verdict { return Verdict{State: Right, Text: CheckOK} }

// Say makes a verdict of a sentence and of what fills it, as names and values in
// turn. What fills "value" is what would mend a wrong one.
func Say(s State, text string, args ...string) Verdict {
	v := Verdict{State: s, Text: text}
	for i := 0; i+1 < len(args); i += 2 {
		if v.Args == nil {
			v.Args = map[string]string{}
		}
		v.Args[args[i]] = args[i+1]
		if args[i] == "value" && s == Wrong {
			v.Proposal = args[i+1]
		}
	}
	return v
}
