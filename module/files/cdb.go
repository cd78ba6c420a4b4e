package files

import (
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
)

// cdb writes a constant database, which Exim finds a key in at the same cost whatever
// its size (https://cr.yp.to/cdb/cdb.txt). The same pairs make the same bytes; of keys
// no two may be equal.
func cdb(pairs map[string]string) []byte {
	keys := make([]string, 0, len(pairs))
	for k := range pairs {
		keys = append(keys, k)
	}
	slices.SortFunc(keys, strings.Compare)
	u32 := binary.LittleEndian.AppendUint32
	b := make([]byte, cdbHeader)
	type slot struct{ hash, at uint32 }
	var tables [256][]slot
	for _, k := range keys {
		h := cdbHash(k)
		tables[h%256] = append(tables[h%256], slot{h, uint32(len(b))})
		b = u32(u32(b, uint32(len(k))), uint32(len(pairs[k])))
		b = append(append(b, k...), pairs[k]...)
	}
	for i, t := range tables {
		n := uint32(2 * len(t)) // half of the slots stay empty
		binary.LittleEndian.PutUint32(b[8*i:], uint32(len(b)))
		binary.LittleEndian.PutUint32(b[8*i+4:], n)
		filled := make([]slot, n)
		for _, s := range t {
			at := s.hash >> 8 % n
			for filled[at].at != 0 {
				at = (at + 1) % n
			}
			filled[at] = s
		}
		for _, s := range filled {
			b = u32(u32(b, s.hash), s.at)
		}
	}
	return b
}

// cdbHeader is the length of the table of tables.
const cdbHeader = 2048

func cdbHash(key string) uint32 {
	h := uint32(5381)
	for i := range len(key) {
		h = (h<<5 + h) ^ uint32(key[i])
	}
	return h
}

// cdbText is what is in a constant database as lines, for people; of one that is broken
// a word that says so.
func cdbText(b []byte) []byte {
	if len(b) == 0 {
		return b
	}
	const broken = "(broken)\n"
	if len(b) < cdbHeader {
		return []byte(broken)
	}
	var text []byte
	end := uint64(binary.LittleEndian.Uint32(b)) // of the pairs: there the first table begins
	for at := uint64(cdbHeader); at < end; {
		if end > uint64(len(b)) || at+8 > end {
			return []byte(broken)
		}
		key := at + 8
		value := key + uint64(binary.LittleEndian.Uint32(b[at:]))
		next := value + uint64(binary.LittleEndian.Uint32(b[at+4:]))
		if next > end {
			return []byte(broken)
		}
		text = fmt.Appendf(text, "%q: %q\n", b[key:value], b[value:next])
		at = next
	}
	return text
}
