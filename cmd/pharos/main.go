// Command pharos holds all server roles of Pharos and the commands that talk
// to a running installation. `pharos all` runs everything in one process.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/alecthomas/kong"

	"github.com/pharos-stack/pharos/cmd/pharos/client"
	"github.com/pharos-stack/pharos/internal/config"
)

// version is set when the binary is built.
var version = "dev"

// commands of pharos. Every flag can also be given as PHAROS_<FLAG> and in a
// YAML file named by --config.
type commands struct {
	Config  kong.ConfigFlag  `help:"YAML file with flags, such as http: 0.0.0.0:8080." env:"PHAROS_CONFIG" placeholder:"FILE"`
	Version kong.VersionFlag `help:"Show the version."`

	All      allRole      `cmd:"" help:"Run all roles and an agent in this process." group:"Server roles:"`
	Register registerRole `cmd:"" help:"Run register, which knows the agents and hands out their plans." group:"Server roles:"`
	Vessel   vesselRole   `cmd:"" help:"Run a vessel, which takes in what agents deliver." group:"Server roles:"`
	Compute  computeRole  `cmd:"" help:"Run a compute, which merges, stores and queries." group:"Server roles:"`
	Alarm    alarmRole    `cmd:"" help:"Run alarm, which checks rules and notifies." group:"Server roles:"`
	Console  consoleRole  `cmd:"" help:"Run the console: web UI and HTTP API." group:"Server roles:"`

	client.Commands `group:"Client commands:"`
}

// options of the command line.
func options() []kong.Option {
	return []kong.Option{kong.Name("pharos"), kong.Description("Observability and operations from your logs to your releases."),
		kong.Vars{"version": version}, kong.DefaultEnvars("PHAROS"), kong.Configuration(config.YAML), kong.UsageOnError(),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true})}
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	c := kong.Parse(&commands{}, append(options(), kong.BindTo(ctx, (*context.Context)(nil)))...)
	if err := c.Run(); err != nil {
		fmt.Fprintln(os.Stderr, "pharos:", err)
		os.Exit(1)
	}
}
