package module

import (
	"hash/fnv"

	"maildomain/module/mail"
)

// lanes let one at a time do something to a domain.
type lanes [256]chan struct{}

func newLanes() *lanes {
	var l lanes
	for i := range l {
		l[i] = make(chan struct{}, 1)
	}
	return &l
}

func (l *lanes) of(n mail.Name) chan struct{} {
	h := fnv.New32a()
	_, _ = h.Write([]byte(n.String())) // it has no errors
	return l[h.Sum32()%uint32(len(l))]
}
