package files

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// networkKeys are the keys under which Exim finds the narrowest of these networks, all of
// one family, that an address is in: with a look-up for each halving of the lengths there
// are, instead of one for each length. (Waldvogel and others, Scalable High Speed IP
// Routing Lookups, SIGCOMM 1997.)
//
// It begins with the length in the middle. Where something stands under the address cut
// to a length, its value says at which longer one to go on, and what the narrowest network
// so far says: "/28:w". Either may be empty. So a key stands for each network, and for what
// leads to it. Where nothing stands, levels says at which shorter length to go on: of each
// step the words "/LENGTH=/SHORTER", the steps with ";" between. The first word begins with
// the length to begin with.
func networkKeys(networks []network) (keys []network, levels string) {
	var lengths []int
	for _, n := range networks {
		if !slices.Contains(lengths, n.Bits()) {
			lengths = append(lengths, n.Bits())
		}
	}
	slices.Sort(lengths)
	t := newLengthTree(lengths)

	keys = slices.Clone(networks)
	for _, n := range networks {
		for at := t.root; at != n.Bits(); {
			if at > n.Bits() {
				at = t.shorter[at]
				continue
			}
			keys = append(keys, network{Prefix: netip.PrefixFrom(n.Addr(), at).Masked(), value: slashed(t.longer[at])})
			at = t.longer[at]
		}
	}
	slices.SortFunc(keys, func(a, b network) int {
		return cmp.Or(a.Addr().Compare(b.Addr()), cmp.Compare(a.Bits(), b.Bits()))
	})

	var around []network // that the next may lie in, the widest first
	last := 0
	for i := 0; i < len(keys); last++ {
		k := network{Prefix: keys[i].Prefix}
		onward := ""
		for ; i < len(keys) && keys[i].Prefix == k.Prefix; i++ {
			k.says, onward = cmp.Or(k.says, keys[i].says), cmp.Or(onward, keys[i].value)
		}
		for len(around) > 0 && !around[len(around)-1].Contains(k.Addr()) {
			around = around[:len(around)-1]
		}
		if k.says != "" {
			around = append(around, k)
		}
		k.value = onward + ":"
		if len(around) > 0 {
			k.value += around[len(around)-1].says
		}
		keys[last] = k
	}
	return keys[:last], t.levels()
}

// A network is one that is listed, or of which a key stands.
type network struct {
	netip.Prefix
	says  string // the list that it is in; empty: none
	value string // of its key
}

// A lengthTree is in which order lengths of networks are tried.
type lengthTree struct {
	root            int
	longer, shorter map[int]int // which comes next; none: no key
	steps           [][]int     // the lengths that each step may be at
}

// newLengthTree is the tree of lengths that are sorted.
func newLengthTree(lengths []int) lengthTree {
	t := lengthTree{longer: map[int]int{}, shorter: map[int]int{}}
	var half func(ls []int, step int, next map[int]int, from int)
	half = func(ls []int, step int, next map[int]int, from int) {
		if len(ls) == 0 {
			return
		}
		mid := len(ls) / 2
		next[from] = ls[mid]
		if len(t.steps) == step {
			t.steps = append(t.steps, nil)
		}
		t.steps[step] = append(t.steps[step], ls[mid])
		half(ls[:mid], step+1, t.shorter, ls[mid])
		half(ls[mid+1:], step+1, t.longer, ls[mid])
	}
	root := map[int]int{}
	half(lengths, 0, root, 0)
	t.root = root[0]
	return t
}

// levels is the tree in words for Exim, which reads on behind a "=" that nothing stands
// after.
func (t lengthTree) levels() string {
	levels := []string{slashed(t.root) + "=" + t.next(t.root)}
	for _, step := range t.steps[1:] {
		words := []string{}
		for _, l := range step {
			if s := t.next(l); s != "" {
				words = append(words, slashed(l)+"="+s)
			}
		}
		if len(words) == 0 {
			words = append(words, "-")
		}
		levels = append(levels, strings.Join(words, " "))
	}
	return strings.Join(levels, ";")
}

func (t lengthTree) next(length int) string {
	if s, is := t.shorter[length]; is {
		return slashed(s)
	}
	return ""
}

func slashed(length int) string { return "/" + strconv.Itoa(length) }

// masked is a network as Exim's operator mask writes it (Exim specification, section
// 11.7): of IPv6 all eight groups, with dots between.
func masked(p netip.Prefix) string {
	if p.Addr().Is4() {
		return p.String()
	}
	b := p.Addr().As16()
	groups := make([]string, 8)
	for i := range groups {
		groups[i] = fmt.Sprintf("%02x%02x", b[2*i], b[2*i+1])
	}
	return strings.Join(groups, ".") + "/" + strconv.Itoa(p.Bits())
}
