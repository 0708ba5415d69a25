// Command openapi writes the OpenAPI document of the console to the file named
// by its argument, for the web UI to generate its types from.
package main

import (
	"fmt"
	"os"

	"github.com/pharos-stack/pharos/console"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run() error {
	if len(os.Args) != 2 {
		return fmt.Errorf("usage: openapi FILE")
	}
	text, err := console.OpenAPI()
	if err != nil {
		return fmt.Errorf("cannot make OpenAPI document: %w", err)
	}
	return os.WriteFile(os.Args[1], text, 0o644)
}
