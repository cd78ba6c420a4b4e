package mail

import "time"

// A Fate is what became of a letter for one recipient, as it is counted.
type Fate int

// What is counted. The order is that of the columns in reports.
const (
	FateAccepted   Fate = iota // taken in: one for each recipient
	FateGreylisted             // put off by greylisting: one for each attempt and recipient
	FateSpam                   // spam, refused or filed as junk (which counts as accepted too): one for each recipient
	FateVirus                  // refused for a virus: one for each recipient
	FateRefused                // refused for good for another reason: one for each recipient
	FateDelivered              // put into a mailbox: one for each copy
	FateSent                   // sent by who logged in: one for each letter

	Fates = iota // how many there are
)

var fateNames = [Fates]string{"accepted", "greylisted", "spam", "virus", "refused", "delivered", "sent"}

// String is the fate as Exim's log and the reports name it.
func (f Fate) String() string { return fateNames[f] }

// Counts are numbers by Fate.
type Counts [Fates]int64

// A Day is a calendar day, as days since 1970-01-01.
type Day int64

// DayOf is the day that it is in a zone at an instant.
func DayOf(at time.Time, zone *time.Location) Day {
	y, m, d := at.In(zone).Date()
	return Day(time.Date(y, m, d, 0, 0, 0, 0, time.UTC).Unix() / (24 * 60 * 60))
}

// String is the day as 2006-01-02.
func (d Day) String() string {
	return time.Unix(int64(d)*24*60*60, 0).UTC().Format(time.DateOnly)
}

// A LogPlace is how far a log was read. The file may have another name since, or be
// compressed: it is known by how it begins, and while it is empty by its inode.
type LogPlace struct {
	Device, Inode uint64
	Head          string // SHA-256 of its first HeadSize bytes, in hex
	HeadSize      int64
	Bytes         int64 // that were read, all of them whole lines
}

// A Noted is a line of ours in Exim's log.
type Noted struct {
	At     time.Time // to the second
	Fate   Fate
	Domain Name
}
