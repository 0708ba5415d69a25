// Package secret encrypts what people entrust to Pharos, such as robot URLs
// and mail passwords, before it is stored.
//
// It promises that a sealed text can be opened only with the same key and for
// the same purpose it was sealed for, and that changes to it are noticed.
package secret

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// KeyBytes is the length of a key: AES-256.
const KeyBytes = 32

// EnvKey names the environment variable that may hold the key as base64.
const EnvKey = "PHAROS_SECRET_KEY"

// Box seals and opens texts with one key.
type Box struct {
	aead cipher.AEAD
}

// New returns a Box for key, which has KeyBytes bytes.
func New(key []byte) (*Box, error) {
	if len(key) != KeyBytes {
		return nil, fmt.Errorf("cannot use secret key: it has %d bytes, it must have %d", len(key), KeyBytes)
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, fmt.Errorf("cannot use secret key: %w", err)
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		return nil, fmt.Errorf("cannot use secret key: %w", err)
	}
	return &Box{aead: aead}, nil
}

// Load takes the key from the environment variable EnvKey, else from the file
// at path, which is made with a new key (mode 0600) when there is none. All
// processes that share a metadata database need the same key.
func Load(path string) (*Box, error) {
	if text := os.Getenv(EnvKey); text != "" {
		key, err := base64.StdEncoding.DecodeString(strings.TrimSpace(text))
		if err != nil {
			return nil, fmt.Errorf("cannot read secret key from %s: it must be base64 of %d bytes: %w", EnvKey, KeyBytes, err)
		}
		return New(key)
	}
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		if err := create(path); err != nil {
			return nil, fmt.Errorf("cannot create secret key file %q: %w", path, err)
		}
		data, err = os.ReadFile(path)
	}
	if err != nil {
		return nil, fmt.Errorf("cannot read secret key file: %w", err)
	}
	key, err := base64.StdEncoding.DecodeString(strings.TrimSpace(string(data)))
	if err != nil {
		return nil, fmt.Errorf("cannot read secret key file %q: %w", path, err)
	}
	return New(key)
}

// create writes a new key beside path and links it into place, so that of two
// processes starting at once both end up with the key of the first.
func create(path string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	key := make([]byte, KeyBytes)
	rand.Read(key) // never fails
	tmp, err := os.CreateTemp(filepath.Dir(path), ".key-*")
	if err != nil {
		return err
	}
	defer os.Remove(tmp.Name())
	_, err = tmp.WriteString(base64.StdEncoding.EncodeToString(key) + "\n")
	if err = errors.Join(err, tmp.Sync(), tmp.Close()); err != nil {
		return err
	}
	if err := os.Link(tmp.Name(), path); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return nil
}

// Seal encrypts plain for a purpose, such as the id of the object it belongs to.
func (b *Box) Seal(plain []byte, purpose string) []byte {
	nonce := make([]byte, b.aead.NonceSize(), b.aead.NonceSize()+len(plain)+b.aead.Overhead())
	rand.Read(nonce) // never fails
	return b.aead.Seal(nonce, nonce, plain, []byte(purpose))
}

// Open decrypts what Seal returned for the same purpose.
func (b *Box) Open(sealed []byte, purpose string) ([]byte, error) {
	n := b.aead.NonceSize()
	if len(sealed) < n {
		return nil, errors.New("cannot open secret: it is too short")
	}
	plain, err := b.aead.Open(nil, sealed[:n], sealed[n:], []byte(purpose))
	if err != nil {
		return nil, fmt.Errorf("cannot open secret: the key is another one or the text was changed: %w", err)
	}
	return plain, nil
}
