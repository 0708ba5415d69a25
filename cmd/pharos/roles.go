package main

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"google.golang.org/grpc"

	"github.com/pharos-stack/pharos/alarm"
	"github.com/pharos-stack/pharos/console"
	ui "github.com/pharos-stack/pharos/console/web"
	"github.com/pharos-stack/pharos/internal/rpc"
	pharosv1 "github.com/pharos-stack/pharos/proto/pharos/v1"
	"github.com/pharos-stack/pharos/register"
	"github.com/pharos-stack/pharos/vessel"
)

// toRegister is the flag of roles that are known to register.
type toRegister struct {
	Register string `required:"" help:"Address of register." placeholder:"ADDR"`
}

// dialer connects to other servers of the installation.
func dialer(security rpc.Server) (func(address string) (*grpc.ClientConn, error), error) {
	options, err := rpc.ClientOptions(security)
	if err != nil {
		return nil, err
	}
	return func(address string) (*grpc.ClientConn, error) {
		conn, err := grpc.NewClient(address, options...)
		if err != nil {
			return nil, fmt.Errorf("cannot dial %q: %w", address, err)
		}
		return conn, nil
	}, nil
}

// serveOn listens and serves services to the cluster until ctx ends.
func serveOn(address string, security rpc.Server, services ...func(grpc.ServiceRegistrar)) (func(context.Context) error, error) {
	options, err := rpc.ServerOptions(security)
	if err != nil {
		return nil, err
	}
	l, err := net.Listen("tcp", address)
	if err != nil {
		return nil, fmt.Errorf("cannot listen for gRPC: %w", err)
	}
	return func(ctx context.Context) error { return serveGRPC(ctx, l, options, services...) }, nil
}

type registerRole struct {
	common
	cluster
	listen
	metadata
}

// Run runs register.
func (r *registerRole) Run(ctx context.Context) error {
	log := r.logger("register")
	if err := r.makeData(); err != nil {
		return err
	}
	security, err := r.cluster.open(r.Data)
	if err != nil {
		return err
	}
	m, err := r.metadata.open(ctx, r.Data)
	if err != nil {
		return err
	}
	defer m.db.Close()
	reg := register.New(register.Options{DB: m.db, Resources: m.resources, ClusterKey: security.Key, Logger: log})
	serve, err := serveOn(r.GRPC, security, reg.RegisterServices)
	if err != nil {
		return err
	}
	log.Info("register serves", "grpc", r.GRPC)
	return runRoles(ctx, log, role{"register", reg.Run}, role{"gRPC", serve})
}

type vesselRole struct {
	common
	cluster
	listen
	toRegister
}

// Run runs a vessel.
func (r *vesselRole) Run(ctx context.Context) error {
	log := r.logger("vessel")
	if err := r.makeData(); err != nil {
		return err
	}
	security, err := r.cluster.open(r.Data)
	if err != nil {
		return err
	}
	id, err := serverID(r.Data, "ves_")
	if err != nil {
		return err
	}
	dial, err := dialer(security)
	if err != nil {
		return err
	}
	conn, err := dial(r.Register)
	if err != nil {
		return err
	}
	defer conn.Close()
	v := vessel.New(vessel.Options{ID: id, Address: r.address(), Version: version, Register: conn, Dial: dial, ClusterKey: security.Key, Logger: log})
	serve, err := serveOn(r.GRPC, security, v.RegisterServices)
	if err != nil {
		return err
	}
	log.Info("vessel serves", "grpc", r.GRPC, "id", id)
	return runRoles(ctx, log, role{"vessel", v.Run}, role{"gRPC", serve})
}

// notices are the flags of the alarm tier.
type notices struct {
	Language   string `default:"en" enum:"en,zh" help:"Language of notices: en or zh."`
	ConsoleURL string `help:"Address people reach the console by, for links in notices." placeholder:"URL"`
}

type alarmRole struct {
	common
	cluster
	metadata
	toRegister
	notices
}

// Run runs the alarm tier.
func (r *alarmRole) Run(ctx context.Context) error {
	log := r.logger("alarm")
	if err := r.makeData(); err != nil {
		return err
	}
	security, err := r.cluster.open(r.Data)
	if err != nil {
		return err
	}
	m, err := r.metadata.open(ctx, r.Data)
	if err != nil {
		return err
	}
	defer m.db.Close()
	_, pool, closeConn, err := connectCluster(security, r.toRegister.Register, log)
	if err != nil {
		return err
	}
	defer closeConn()
	a, err := alarm.New(ctx, alarm.Options{DB: m.db, Resources: m.resources, Query: pharosv1.NewQueryServiceClient(pool), Logger: log,
		Language: r.Language, ConsoleURL: r.ConsoleURL})
	if err != nil {
		return err
	}
	log.Info("alarm checks rules")
	return runRoles(ctx, log, role{"alarm", a.Run}, role{"computes", pool.run})
}

// connectCluster connects to register and, through it, to the computes.
func connectCluster(security rpc.Server, address string, log *slog.Logger) (pharosv1.RegisterServiceClient, *computes, func(), error) {
	dial, err := dialer(security)
	if err != nil {
		return nil, nil, nil, err
	}
	conn, err := dial(address)
	if err != nil {
		return nil, nil, nil, err
	}
	client := pharosv1.NewRegisterServiceClient(conn)
	return client, &computes{register: client, dial: dial, log: log}, func() { conn.Close() }, nil
}

// web are the flags of the console.
type web struct {
	HTTP          string `name:"http" default:"127.0.0.1:8080" help:"Address of the web UI and the HTTP API." placeholder:"ADDR"`
	AgentAddress  string `help:"Address that agents reach register by, as the page that adds agents shows it. Default: register's own." placeholder:"HOST:PORT"`
	AdminPassword string `help:"First password of the user admin, for automation. Default: one made up and printed once."`
}

// open makes a console and the function that serves it.
//
// register is the address this server knows register by.
func (w web) open(ctx context.Context, register string, o console.Options) (func(context.Context) error, error) {
	o.Web, o.AdminPassword, o.Version = ui.Files(), w.AdminPassword, version
	if _, _, err := net.SplitHostPort(w.AgentAddress); w.AgentAddress != "" && err != nil {
		return nil, fmt.Errorf("cannot use --agent-address %q: %w; give HOST:PORT", w.AgentAddress, err)
	}
	if o.AgentAddress = w.AgentAddress; o.AgentAddress == "" {
		o.AgentAddress = register
	}
	if o.Web == nil {
		o.Logger.Warn("this program was built without the web UI; run make web before building it")
	}
	c, err := console.New(ctx, o)
	if err != nil {
		return nil, err
	}
	l, err := net.Listen("tcp", w.HTTP)
	if err != nil {
		return nil, fmt.Errorf("cannot listen for HTTP: %w", err)
	}
	fmt.Printf("\n  Pharos: http://%s\n", l.Addr())
	if c.OneTimePassword != "" {
		fmt.Printf("  Sign in as admin with the one-time password  %s\n", c.OneTimePassword)
	}
	fmt.Println()
	server := &http.Server{Handler: c.Handler(), ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute,
		ErrorLog: slog.NewLogLogger(o.Logger.Handler(), slog.LevelDebug)}
	return func(ctx context.Context) error {
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		ran := make(chan error, 1)
		go func() { ran <- c.Run(ctx) }()
		stop := context.AfterFunc(ctx, func() {
			closing, done := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
			defer done()
			if server.Shutdown(closing) != nil {
				server.Close()
			}
		})
		err := server.Serve(l)
		if stop() {
			return fmt.Errorf("cannot serve HTTP: %w", err)
		}
		return <-ran
	}, nil
}

type consoleRole struct {
	common
	cluster
	metadata
	toRegister
	web
}

// Run runs the console.
func (r *consoleRole) Run(ctx context.Context) error {
	log := r.logger("console")
	if err := r.makeData(); err != nil {
		return err
	}
	security, err := r.cluster.open(r.Data)
	if err != nil {
		return err
	}
	fingerprint, err := security.CAFingerprint()
	if err != nil {
		return err
	}
	m, err := r.metadata.open(ctx, r.Data)
	if err != nil {
		return err
	}
	defer m.db.Close()
	client, pool, closeConn, err := connectCluster(security, r.toRegister.Register, log)
	if err != nil {
		return err
	}
	defer closeConn()
	serve, err := r.web.open(ctx, r.toRegister.Register, console.Options{DB: m.db, TryRule: alarm.Backtest, Resources: m.resources, Box: m.box, Register: client,
		Query: pharosv1.NewQueryServiceClient(pool), CAFingerprint: fingerprint, Logger: log})
	if err != nil {
		return err
	}
	return runRoles(ctx, log, role{"console", serve}, role{"computes", pool.run})
}

// days is a duration that also knows days.
type days time.Duration

// UnmarshalText reads what time.ParseDuration reads, or a number of days such as 21d.
func (d *days) UnmarshalText(text []byte) error {
	var n int
	if _, err := fmt.Sscanf(string(text), "%dd", &n); err == nil && fmt.Sprintf("%dd", n) == string(text) {
		*d = days(time.Duration(n) * 24 * time.Hour)
		return nil
	}
	v, err := time.ParseDuration(string(text))
	if err != nil {
		return fmt.Errorf("cannot read %q: write days such as 21d, or hours such as 36h", text)
	}
	*d = days(v)
	return nil
}
