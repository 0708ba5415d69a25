package rpc

import (
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// minClusterKey characters keep anyone who sees a vessel token or the CA's
// certificate from guessing the key offline.
const minClusterKey = 32

// ClusterKey is the one secret that all servers of an installation share. What
// they need is derived from it, each for one purpose: the CA's private key, the
// bearer of calls between servers and the key that signs vessel tokens.
type ClusterKey struct{ secret []byte }

// ParseClusterKey takes a key from configuration.
func ParseClusterKey(s string) (ClusterKey, error) {
	s = strings.TrimSpace(s)
	if len(s) < minClusterKey {
		return ClusterKey{}, fmt.Errorf("cannot use cluster key: it has %d characters; give at least %d random ones, such as from `openssl rand -hex 32`", len(s), minClusterKey)
	}
	return ClusterKey{secret: []byte(s)}, nil
}

// OpenClusterKey reads the key in the file at path; if there is none it makes one.
func OpenClusterKey(path string) (ClusterKey, error) {
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		b, err = createClusterKey(path)
	}
	if err != nil {
		return ClusterKey{}, fmt.Errorf("cannot open cluster key: %w", err)
	}
	key, err := ParseClusterKey(string(b))
	if err != nil {
		return ClusterKey{}, fmt.Errorf("file %q: %w", path, err)
	}
	return key, nil
}

func createClusterKey(path string) ([]byte, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, err
	}
	b := []byte(hex.EncodeToString(randomBytes(32)) + "\n")
	tmp, err := os.CreateTemp(filepath.Dir(path), ".cluster-key-*") // mode 0600
	if err != nil {
		return nil, err
	}
	defer os.Remove(tmp.Name())
	_, werr := tmp.Write(b)
	if err := errors.Join(werr, tmp.Sync(), tmp.Close()); err != nil {
		return nil, err
	}
	// Link refuses to replace: of two processes that start at once one wins, both read its key.
	if err := os.Link(tmp.Name(), path); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, err
	}
	return os.ReadFile(path)
}

// String, GoString and LogValue keep the secret out of logs.
func (k ClusterKey) String() string       { return "(cluster key)" }
func (k ClusterKey) GoString() string     { return k.String() }
func (k ClusterKey) LogValue() slog.Value { return slog.StringValue(k.String()) }

// IsZero tells whether no key was given.
func (k ClusterKey) IsZero() bool { return len(k.secret) == 0 }

func (k ClusterKey) derive(purpose string, n int) []byte {
	b, err := hkdf.Key(sha256.New, k.secret, nil, "pharos "+purpose, n)
	if err != nil {
		panic(err) // only for a length beyond 8160 bytes
	}
	return b
}

func (k ClusterKey) bearer() string { return hex.EncodeToString(k.derive("bearer", 32)) }

// SignVesselToken returns the token that lets an agent deliver to any vessel until expires.
func (k ClusterKey) SignVesselToken(agentID string, expires time.Time) string {
	ms := strconv.FormatInt(expires.UnixMilli(), 10)
	return "pv1." + ms + "." + k.vesselMAC(agentID, ms)
}

// CheckVesselToken tells why a token doesn't admit the agent; nil if it does.
func (k ClusterKey) CheckVesselToken(token, agentID string, now time.Time) error {
	parts := strings.Split(token, ".")
	if len(parts) != 3 || parts[0] != "pv1" {
		return errors.New("vessel token is malformed")
	}
	if !hmac.Equal([]byte(parts[2]), []byte(k.vesselMAC(agentID, parts[1]))) {
		return errors.New("vessel token is not for this agent or not signed by this cluster")
	}
	ms, err := strconv.ParseInt(parts[1], 10, 64)
	if err != nil || !now.Before(time.UnixMilli(ms)) {
		return errors.New("vessel token has expired; get a new one from register")
	}
	return nil
}

func (k ClusterKey) vesselMAC(agentID, expires string) string {
	mac := hmac.New(sha256.New, k.derive("vessel token", 32))
	// The expiry has only digits, so the first newline ends it whatever the id contains.
	mac.Write([]byte(expires + "\n" + agentID))
	return base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}

// JoinToken admits unknown agents: pj1.<secret>.<fingerprint of the CA>.
type JoinToken struct {
	Secret string
	// CAFingerprint is what the agent pins; empty in an installation without TLS.
	CAFingerprint string
}

// NewJoinToken makes a token with a random secret.
func NewJoinToken(caFingerprint string) JoinToken {
	return JoinToken{Secret: base64.RawURLEncoding.EncodeToString(randomBytes(24)), CAFingerprint: caFingerprint}
}

// ParseJoinToken reads the written form.
func ParseJoinToken(s string) (JoinToken, error) {
	parts := strings.Split(strings.TrimSpace(s), ".")
	if len(parts) != 3 || parts[0] != "pj1" || len(parts[1]) < 20 {
		return JoinToken{}, errors.New("cannot read join token: it looks like pj1.SECRET.FINGERPRINT; create one on the agents page or with `pharos agents token`")
	}
	if parts[2] != "" && len(parts[2]) != fingerprintLen {
		return JoinToken{}, fmt.Errorf("cannot read join token: its fingerprint has %d characters instead of %d; was it cut off?", len(parts[2]), fingerprintLen)
	}
	return JoinToken{Secret: parts[1], CAFingerprint: parts[2]}, nil
}

// Encode returns the written form, to be shown once.
func (t JoinToken) Encode() string { return "pj1." + t.Secret + "." + t.CAFingerprint }

// String and LogValue keep the secret out of logs.
func (t JoinToken) String() string       { return "pj1.(secret)." + t.CAFingerprint }
func (t JoinToken) LogValue() slog.Value { return slog.StringValue(t.String()) }

// Hash is what is stored of the token.
func (t JoinToken) Hash() []byte { return HashSecret(t.Secret) }

// HashSecret is what is stored of a random secret. One round of SHA-256 is
// enough for secrets that nobody can guess.
func HashSecret(secret string) []byte {
	h := sha256.Sum256([]byte(secret))
	return h[:]
}

// NewCredential returns a random agent credential.
func NewCredential() string { return "pa1." + base64.RawURLEncoding.EncodeToString(randomBytes(32)) }

func randomBytes(n int) []byte {
	b := make([]byte, n)
	rand.Read(b) // never fails
	return b
}
