package secret

import (
	"bytes"
	"encoding/base64"
	"os"
	"path/filepath"
	"testing"
)

func TestSealedTextOpensOnlyForItsPurposeAndUnchanged(t *testing.T) {
	box, err := Load(filepath.Join(t.TempDir(), "sub", "key"))
	if err != nil {
		t.Fatal(err)
	}
	sealed := box.Seal([]byte("SEC123"), "chn_1")
	if bytes.Contains(sealed, []byte("SEC123")) {
		t.Fatal("the text stands in the clear")
	}
	if plain, err := box.Open(sealed, "chn_1"); err != nil || string(plain) != "SEC123" {
		t.Fatalf("%q, %v", plain, err)
	}
	if _, err := box.Open(sealed, "chn_2"); err == nil {
		t.Error("opened for another purpose")
	}
	sealed[len(sealed)-1] ^= 1
	if _, err := box.Open(sealed, "chn_1"); err == nil {
		t.Error("opened after a change")
	}
	if _, err := box.Open(sealed[:3], "chn_1"); err == nil {
		t.Error("opened a stump")
	}
}

func TestLoadKeepsTheKeyAndProtectsItsFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "key")
	first, err := Load(path)
	if err != nil {
		t.Fatal(err)
	}
	second, err := Load(path)
	if err != nil {
		t.Fatal(err)
	}
	if plain, err := second.Open(first.Seal([]byte("x"), "p"), "p"); err != nil || string(plain) != "x" {
		t.Fatalf("%q, %v", plain, err)
	}
	if info, _ := os.Stat(path); info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v", info.Mode())
	}
	other := base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{7}, KeyBytes))
	t.Setenv(EnvKey, other)
	third, err := Load(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := third.Open(first.Seal([]byte("x"), "p"), "p"); err == nil {
		t.Error("the environment's key was not used")
	}
	t.Setenv(EnvKey, "short")
	if _, err := Load(path); err == nil {
		t.Error("a bad key was accepted")
	}
}
