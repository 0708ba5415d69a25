// Command bench measures Pharos as its users would and prints the table that
// docs/benchmarks.md keeps. Speeds are compared with other tools on the same
// file in the same run, because only ratios survive a change of machine.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"syscall"
	"time"

	"github.com/alecthomas/kong"
)

type commands struct {
	Bin          string        `default:"./bin" help:"Directory of pharos and pharos-agent." placeholder:"DIR"`
	Only         []string      `help:"Only these: pipeline, idle, latency, fleet, alarm." enum:"pipeline,idle,latency,fleet,alarm" default:"pipeline,idle,latency,fleet,alarm"`
	MB           int           `default:"400" help:"Size of the generated log in MB."`
	Idle         time.Duration `default:"30s" help:"How long the idle agent is watched."`
	Agents       int           `default:"1000" help:"Simulated agents."`
	Keys         int           `default:"100" help:"Keys of each simulated agent."`
	Fleet        time.Duration `default:"3m" help:"How long the simulated agents deliver."`
	AlarmMinutes int           `default:"3" help:"Minutes for which 10,000 alarm rules are watched."`
	Pipeline     bool          `hidden:"" help:"Internal: be the measured process."`
	Log          string        `hidden:""`
	Monitors     int           `hidden:""`
	Rule         string        `hidden:""`
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	var c commands
	kong.Parse(&c, kong.Name("bench"))
	if err := c.run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func (c *commands) run(ctx context.Context) error {
	if c.Pipeline {
		return measuredPipeline(ctx, c.Log, c.Monitors, c.Rule)
	}
	fmt.Printf("%s, %s, %d cores, %s\n\n", time.Now().Format("2006-01-02"), cpuModel(), runtime.NumCPU(), runtime.Version())
	parts := map[string]func(context.Context) error{"pipeline": c.pipeline, "idle": c.idle, "latency": c.latency, "fleet": c.fleet, "alarm": c.alarm}
	for _, name := range c.Only {
		if err := parts[name](ctx); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		fmt.Println()
	}
	return nil
}
