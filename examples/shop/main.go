// Command shop is a small sample shop to watch with Pharos: `shop serve` is its
// server, which writes a business log, an access log and an error log, and
// `shop load` sends it customers. `shop fail on` makes payments fail.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/alecthomas/kong"
)

type commands struct {
	Serve serve `cmd:"" help:"Run the shop's server."`
	Load  load  `cmd:"" help:"Send customers to the shop."`
	Fail  fail  `cmd:"" help:"Make payments fail, or mend them."`
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	c := kong.Parse(&commands{}, kong.Name("shop"), kong.Description("A small sample shop to watch with Pharos."), kong.BindTo(ctx, (*context.Context)(nil)))
	if err := c.Run(); err != nil {
		fmt.Fprintln(os.Stderr, "shop:", err)
		os.Exit(1)
	}
}
