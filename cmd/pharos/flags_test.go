package main

import (
	"flag"
	"os"
	"testing"

	"github.com/alecthomas/kong"

	"github.com/pharos-stack/pharos/internal/config"
)

var update = flag.Bool("update", false, "write docs/flags.md")

const flagsPage = "../../docs/flags.md"

// TestFlagsPage keeps the page of all flags of the server roles complete.
func TestFlagsPage(t *testing.T) {
	k, err := kong.New(&commands{}, options()...)
	if err != nil {
		t.Fatal(err)
	}
	page := "# Flags of the server roles\n\nWritten by `go test ./cmd/pharos -update`. How they are given: [configure](configure.md).\n\n" +
		config.Table(k, func(n *kong.Node) bool { return n.Group != nil && n.Group.Key == "Server roles:" })
	if *update {
		if err := os.WriteFile(flagsPage, []byte(page), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if have, err := os.ReadFile(flagsPage); err != nil || string(have) != page {
		t.Errorf("%s is not what the flags are (%v); run go test ./cmd/pharos -update", flagsPage, err)
	}
}
