package mail

// A RecordChange hands one record over to whoever serves the zone: puts it, so
// that its values stand, or removes it. Only values that are ours are touched.
type RecordChange struct {
	Record
	// Ours are the values at the name and type that the module may take away:
	// all that it asked to put there before and has not seen withdrawn. They are
	// written down before they are put, so that an answer that is lost leaves no
	// value without an owner. What is put for the first time is not among them: if
	// it stands, it is another's.
	Ours   []string
	Remove bool // Values mean nothing then
}

// A Handed is how far a change came.
type Handed string

// What a hand-over can come to.
const (
	Published Handed = "published" // stands, or, when it was to be removed, is gone
	NoZone    Handed = "no_zone"   // nobody there serves such a zone: a person adds the record elsewhere
	Refused   Handed = "refused"   // will not be taken as it is; a person has to act
	Conflict  Handed = "conflict"  // another's record stands in its place; Verdict proposes how to merge
	Pending   Handed = "pending"   // not now; try again later
)

// A RecordOutcome is what became of a change.
type RecordOutcome struct {
	Name    string
	Type    RecordType
	Handed  Handed
	Reason  string   // what the server said, or what failed, in its own words; empty when published
	Foreign []string // of the values that were to stand, or of what stands in their place: those that are not ours to remove
	Verdict Verdict  // with Conflict: what stands there, and what is proposed
	Sent    bool     // with Pending: the values were sent, and may stand

	Text string            // names the sentence that says why; empty: Handed says all
	Args map[string]string // what fills it
}
