// Command pharos-agent is the node agent alone: it reads logs and samples the
// host it runs on, delivers what it found and runs what the console asks for.
// It dials out and listens on nothing.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strings"
	"syscall"
	"time"

	"github.com/alecthomas/kong"
	"google.golang.org/grpc"

	"github.com/pharos-stack/pharos/agent"
	"github.com/pharos-stack/pharos/internal/config"
	"github.com/pharos-stack/pharos/internal/rpc"
)

// version is set when the binary is built.
var version = "dev"

// flags of pharos-agent. Every one can also be given as PHAROS_<FLAG> and in a
// YAML file named by --config.
type flags struct {
	Config  kong.ConfigFlag  `help:"YAML file with flags, such as register: pharos:9090." env:"PHAROS_CONFIG" placeholder:"FILE"`
	Version kong.VersionFlag `help:"Show the version."`

	Data          string            `default:"/var/lib/pharos-agent" help:"Directory of what the agent keeps." placeholder:"DIR"`
	Register      string            `required:"" help:"Address of register." placeholder:"HOST:PORT"`
	JoinToken     string            `help:"Token that admits this agent the first time, from the agents page or 'pharos agents token'." placeholder:"TOKEN"`
	JoinTokenFile string            `help:"File with the join token." placeholder:"FILE"`
	Root          []string          `help:"Directory that may be read; repeatable. Default: ${roots}." placeholder:"DIR"`
	Label         map[string]string `help:"Label of this machine, such as az=a; repeatable." placeholder:"KEY=VALUE"`
	Hostname      string            `help:"Name of this machine. Default: the system's."`
	IP            string            `name:"ip" help:"Address others reach this machine by. Default: found out."`
	TLSCA         string            `name:"tls-ca" help:"CAs of the servers' certificates (PEM). Default: the one in the join token, then kept." placeholder:"FILE"`
	Insecure      bool              `help:"No TLS. Only behind something else that protects."`
	HostInterval  time.Duration     `default:"10s" help:"Time between two readings of the host, unless the plan says."`
	CPULimit      float64           `name:"cpu-limit" default:"1" help:"Cores the agent may use at most, rounded up."`
	MemoryLimit   int64             `default:"512" help:"Memory the agent tries to stay below, in MiB."`
	LogLevel      string            `default:"info" enum:"debug,info,warn,error" help:"Least level that is logged."`
	LogFormat     string            `default:"text" enum:"text,json" help:"Form of the log on standard error."`
}

// options of the command line.
func options() []kong.Option {
	return []kong.Option{kong.Name("pharos-agent"), kong.Description("The node agent of Pharos."),
		kong.Vars{"version": version, "roots": strings.Join(agent.DefaultRoots, ", ")},
		kong.DefaultEnvars("PHAROS"), kong.Configuration(config.YAML), kong.UsageOnError()}
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	var f flags
	kong.Parse(&f, options()...)
	if err := f.run(ctx); err != nil && !errors.Is(err, context.Canceled) {
		fmt.Fprintln(os.Stderr, "pharos-agent:", err)
		os.Exit(1)
	}
}

func (f *flags) run(ctx context.Context) error {
	runtime.GOMAXPROCS(max(1, min(runtime.NumCPU(), int(math.Ceil(f.CPULimit)))))
	debug.SetMemoryLimit(f.MemoryLimit << 20)
	if f.JoinTokenFile != "" {
		b, err := os.ReadFile(f.JoinTokenFile)
		if err != nil {
			return fmt.Errorf("cannot read join token: %w", err)
		}
		f.JoinToken = strings.TrimSpace(string(b))
	}
	if err := os.MkdirAll(f.Data, 0o750); err != nil {
		return fmt.Errorf("cannot make data directory: %w", err)
	}
	trust := rpc.Agent{StoredCA: filepath.Join(f.Data, "ca.pem"), CAFile: f.TLSCA, Insecure: f.Insecure}
	if f.JoinToken != "" {
		token, err := rpc.ParseJoinToken(f.JoinToken)
		if err != nil {
			return err
		}
		trust.CAFingerprint = token.CAFingerprint
	}
	options, err := rpc.AgentClientOptions(trust)
	if err != nil {
		return err
	}
	dial := func(address string) (grpc.ClientConnInterface, io.Closer, error) {
		conn, err := grpc.NewClient(address, options...)
		return conn, conn, err
	}
	a, err := agent.New(agent.Options{
		DataDir: f.Data, JoinToken: f.JoinToken, Labels: f.Label, Roots: f.Root, Hostname: f.Hostname, IP: f.IP,
		HostInterval: f.HostInterval, Version: version, Logger: f.logger(),
		Register: func() (grpc.ClientConnInterface, io.Closer, error) { return dial(f.Register) },
		Vessel: func(_ context.Context, address string) (grpc.ClientConnInterface, io.Closer, error) {
			return dial(address)
		},
	})
	if err != nil {
		return err
	}
	return a.Run(ctx)
}

func (f *flags) logger() *slog.Logger {
	var level slog.Level
	_ = level.UnmarshalText([]byte(f.LogLevel)) // kong allows only known levels
	options := &slog.HandlerOptions{Level: level}
	if f.LogFormat == "json" {
		return slog.New(slog.NewJSONHandler(os.Stderr, options))
	}
	return slog.New(slog.NewTextHandler(os.Stderr, options))
}
