package access

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"strings"
	"unicode/utf8"

	"golang.org/x/crypto/argon2"

	"github.com/pharos-stack/pharos/internal/fielderr"
)

// The cost of argon2id: 19 MiB and two passes, as OWASP advises.
const (
	argonKiB    = 19 << 10
	argonPasses = 2
	argonKey    = 32
	// MinPassword and MaxPassword bound a password's length in characters.
	MinPassword = 10
	MaxPassword = 200
)

// hasher computes password hashes, at most two at once, so that a storm of
// sign-ins takes neither all memory nor all cores.
type hasher struct{ slots chan struct{} }

func newHasher() *hasher { return &hasher{slots: make(chan struct{}, 2)} }

func (h *hasher) key(ctx context.Context, password string, salt []byte) ([]byte, error) {
	select {
	case h.slots <- struct{}{}:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	defer func() { <-h.slots }()
	return argon2.IDKey([]byte(password), salt, argonPasses, argonKiB, 1, argonKey), nil
}

func (h *hasher) hash(ctx context.Context, password string) (string, error) {
	salt := make([]byte, 16)
	rand.Read(salt) // never fails
	key, err := h.key(ctx, password, salt)
	if err != nil {
		return "", err
	}
	b64 := base64.RawStdEncoding
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=1$%s$%s", argon2.Version, argonKiB, argonPasses, b64.EncodeToString(salt), b64.EncodeToString(key)), nil
}

// matches reports whether password has the hash. An empty hash matches
// nothing, and takes as long.
func (h *hasher) matches(ctx context.Context, password, hash string) (bool, error) {
	parts := strings.Split(hash, "$")
	if len(parts) != 6 {
		_, err := h.key(ctx, password, make([]byte, 16))
		return false, err
	}
	salt, errSalt := base64.RawStdEncoding.DecodeString(parts[4])
	want, errKey := base64.RawStdEncoding.DecodeString(parts[5])
	if errSalt != nil || errKey != nil {
		return false, fmt.Errorf("cannot read a stored password hash")
	}
	got, err := h.key(ctx, password, salt)
	return err == nil && subtle.ConstantTimeCompare(got, want) == 1, err
}

func checkPassword(es *fielderr.Errors, field, password, username string) {
	switch n := utf8.RuneCountInString(password); {
	case n < MinPassword || n > MaxPassword:
		es.Add(field, "bad_password", "has %d characters; use %d to %d", n, MinPassword, MaxPassword)
	case strings.EqualFold(password, username):
		es.Add(field, "bad_password", "is the user name; choose another")
	}
}

// newSecret returns 32 random bytes as text.
func newSecret() string {
	var b [32]byte
	rand.Read(b[:]) // never fails
	return base64.RawURLEncoding.EncodeToString(b[:])
}

// secretHash is what is stored of a random secret; it needs no salt.
func secretHash(secret string) string {
	sum := sha256.Sum256([]byte(secret))
	return hex.EncodeToString(sum[:])
}
