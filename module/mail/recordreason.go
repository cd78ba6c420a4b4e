package mail

// The sentences about a change that did not get through, about a server that did not say
// what it was asked, and about what is left with former servers, by their names in the
// message catalogue; the names in brackets are their placeholders.
const (
	HandedSilent        = "handed_silent"         // [server]
	HandedClock         = "handed_clock"          // [server]
	HandedUnsigned      = "handed_unsigned"       // [server]
	HandedKeyUnknown    = "handed_key_unknown"    // [server key]
	HandedKeySecret     = "handed_key_secret"     // [server key]
	HandedKeyRefused    = "handed_key_refused"    // [server key]
	HandedKeyWrong      = "handed_key_wrong"      // [key]
	HandedFails         = "handed_fails"          // [server name]
	HandedNoZoneOf      = "handed_no_zone_of"     // [server name]
	HandedNoUpdates     = "handed_no_updates"     // [server name]
	HandedUpdateRefused = "handed_update_refused" // [server name]
	HandedAlias         = "handed_alias"          // [name target]
	HandedRace          = "handed_race"           // [server name]
	HandedValue         = "handed_value"          // [name]
	HandedPanelAway     = "handed_panel_away"
	HandedPanelFails    = "handed_panel_fails"

	AskedSilent       = "asked_silent"
	AskedNobody       = "asked_nobody"
	AskedNoWay        = "asked_no_way"
	AskedNonsense     = "asked_nonsense"
	AskedNoAddress    = "asked_no_address"
	AskedNoResolver   = "asked_no_resolver"
	AskedNotDelegated = "asked_not_delegated"
	AskedFails        = "asked_fails"

	FormerWaits   = "former_pending"  // [server]
	FormerLive    = "former_live"     // [server name]
	FormerLeft    = "former_left"     // [server]
	FormerRefused = "former_refused"  // [server]
	FormerGivenUp = "former_given_up" // [server]
)

// AskedTexts are the sentences of checks among them.
var AskedTexts = []string{AskedSilent, AskedNobody, AskedNoWay, AskedNonsense, AskedNoAddress, AskedNoResolver, AskedNotDelegated, AskedFails}

// HandedTexts are the others, with their placeholders.
var HandedTexts = map[string][]string{
	HandedSilent:        {"server"},
	HandedClock:         {"server"},
	HandedUnsigned:      {"server"},
	HandedKeyUnknown:    {"server", "key"},
	HandedKeySecret:     {"server", "key"},
	HandedKeyRefused:    {"server", "key"},
	HandedKeyWrong:      {"key"},
	HandedFails:         {"server", "name"},
	HandedNoZoneOf:      {"server", "name"},
	HandedNoUpdates:     {"server", "name"},
	HandedUpdateRefused: {"server", "name"},
	HandedAlias:         {"name", "target"},
	HandedRace:          {"server", "name"},
	HandedValue:         {"name"},
	HandedPanelAway:     {},
	HandedPanelFails:    {},
	FormerWaits:         {"server"},
	FormerLive:          {"server", "name"},
	FormerLeft:          {"server"},
	FormerRefused:       {"server"},
	FormerGivenUp:       {"server"},
}
