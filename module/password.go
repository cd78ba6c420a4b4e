package module

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"runtime/debug"

	"golang.org/x/crypto/argon2"

	"maildomain/module/mail"
)

// The cost of a password's hash. Dovecot has one process that checks all passwords,
// one after the other: 29 ms each with these, and 116 ms with the memory that its own
// tool would take, by which nine guesses a second would stop everybody's log-in.
// They are those that OWASP recommends for Argon2id.
const (
	hashMemory  = 19456 // KiB
	hashPasses  = 2
	hashThreads = 1
	hashSalt    = 16 // bytes
	hashLength  = 32 // bytes
)

// hash is a password as Dovecot keeps it (RFC 9106, in the form of the PHC).
func (m *Module) hash(ctx context.Context, password string) (mail.PasswordHash, error) {
	select {
	case m.hashing <- struct{}{}:
	case <-ctx.Done():
		return "", ctx.Err()
	}
	defer func() { <-m.hashing }()
	salt := make([]byte, hashSalt)
	rand.Read(salt) // never fails
	key := argon2.IDKey([]byte(password), salt, hashPasses, hashMemory, hashThreads, hashLength)
	if m.hashes.Add(1)%16 == 1 {
		debug.FreeOSMemory() // else the memory of one hash after the other waits to be collected
	}
	b64 := base64.RawStdEncoding.EncodeToString
	return mail.PasswordHash(fmt.Sprintf("{ARGON2ID}$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s",
		argon2.Version, hashMemory, hashPasses, hashThreads, b64(salt), b64(key))), nil
}
