package mail

// A Query asks for a page of a list of mail domains.
type Query struct {
	Scope  Scope
	Sort   string // column
	Desc   bool
	Limit  int // rows a page
	Offset int // rows before it

	Name  string  // only names that contain this, in A-labels or U-labels; lower case
	Owner string  // only this owner's
	IP    *string // only with this outgoing address; "" for those that have none of their own
	Flags []FlagFilter
}

// A FlagFilter narrows a list to the domains that have a flag on, or off.
type FlagFilter struct {
	Name string // column
	On   bool
}

// A MailboxQuery asks for a page of a list of mailboxes.
type MailboxQuery struct {
	Scope  Scope
	Domain Name   // of this domain only; zero: of all
	Sort   string // column
	Desc   bool
	Limit  int // rows a page
	Offset int // rows before it

	Name   string // only addresses that contain this; lower case
	Active *bool
}
