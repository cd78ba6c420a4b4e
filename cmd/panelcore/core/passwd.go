package core

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"time"

	"golang.org/x/crypto/argon2"
)

// Cost of a new hash: OWASP's first choice for Argon2id, about 25 ms.
const (
	argonMemory  = 19 * 1024 // KiB
	argonTime    = 2
	argonThreads = 1
	argonKey     = 32
	argonSalt    = 16
)

// hashesAtOnce bounds what passwords take: 19 MiB and a processor each.
const hashesAtOnce = 2

// maxPassword bounds what is hashed, in bytes.
const maxPassword = 1024

// hashing bounds how much memory and processor passwords can take.
type hashing struct {
	slots chan struct{}
	wait  time.Duration // how long a login waits for a slot
}

func newHashing(atOnce int, wait time.Duration) *hashing {
	return &hashing{slots: make(chan struct{}, atOnce), wait: wait}
}

// run calls f when one of the slots is free.
func (h *hashing) run(ctx context.Context, f func()) error {
	ctx, cancel := context.WithTimeout(ctx, h.wait)
	defer cancel()
	select {
	case h.slots <- struct{}{}: // one that is free is taken, however late it is
		defer func() { <-h.slots }()
		f()
		return nil
	default:
	}
	select {
	case h.slots <- struct{}{}:
		defer func() { <-h.slots }()
		f()
		return nil
	case <-ctx.Done():
		return fail(typeBusy, "", "busy")
	}
}

// hash returns password as an Argon2id string in PHC form:
// $argon2id$v=19$m=…,t=…,p=…$salt$key.
func (h *hashing) hash(ctx context.Context, password string) (string, error) {
	salt := make([]byte, argonSalt)
	rand.Read(salt) // never fails
	var key []byte
	if err := h.run(ctx, func() {
		key = argon2.IDKey([]byte(password), salt, argonTime, argonMemory, argonThreads, argonKey)
	}); err != nil {
		return "", err
	}
	enc := base64.RawStdEncoding.EncodeToString
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s",
		argon2.Version, argonMemory, argonTime, argonThreads, enc(salt), enc(key)), nil
}

// verify says whether password has the given hash. A hash that is empty or
// cannot be read costs as much as a wrong password, and is one.
func (h *hashing) verify(ctx context.Context, phc, password string) (bool, error) {
	p, err := parsePHC(phc)
	known := err == nil
	if !known {
		p = phcHash{memory: argonMemory, time: argonTime, threads: argonThreads, salt: make([]byte, argonSalt), key: make([]byte, argonKey)}
	}
	var same bool
	if err := h.run(ctx, func() {
		key := argon2.IDKey([]byte(password), p.salt, p.time, p.memory, p.threads, uint32(len(p.key)))
		same = subtle.ConstantTimeCompare(key, p.key) == 1
	}); err != nil {
		return false, err
	}
	return known && same, nil
}

type phcHash struct {
	memory, time uint32
	threads      uint8
	salt, key    []byte
}

func parsePHC(s string) (p phcHash, err error) {
	part := strings.Split(s, "$")
	if len(part) != 6 || part[0] != "" || part[1] != "argon2id" || part[2] != fmt.Sprintf("v=%d", argon2.Version) {
		return p, errors.New("parse password hash: not argon2id")
	}
	if _, err := fmt.Sscanf(part[3], "m=%d,t=%d,p=%d", &p.memory, &p.time, &p.threads); err != nil {
		return p, fmt.Errorf("parse password hash: %w", err)
	}
	if p.memory > 1<<20 || p.time < 1 || p.time > 64 || p.threads < 1 {
		return p, errors.New("parse password hash: cost out of bounds")
	}
	if p.salt, err = base64.RawStdEncoding.DecodeString(part[4]); err != nil {
		return p, fmt.Errorf("parse password hash: %w", err)
	}
	if p.key, err = base64.RawStdEncoding.DecodeString(part[5]); err != nil {
		return p, fmt.Errorf("parse password hash: %w", err)
	}
	if len(p.key) < 16 {
		return p, errors.New("parse password hash: key too short")
	}
	return p, nil
}
