package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/uptrace/bun"
	"google.golang.org/grpc"
	"google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"

	"github.com/pharos-stack/pharos/console"
	"github.com/pharos-stack/pharos/internal/logpipe"
	"github.com/pharos-stack/pharos/internal/logrule"
	"github.com/pharos-stack/pharos/internal/meta"
	"github.com/pharos-stack/pharos/internal/resource"
	"github.com/pharos-stack/pharos/internal/rpc"
	"github.com/pharos-stack/pharos/internal/secret"
)

// common are the flags of every server role.
type common struct {
	Data      string `default:"./data" help:"Directory of everything that is kept." placeholder:"DIR"`
	LogLevel  string `default:"info" enum:"debug,info,warn,error" help:"Least level that is logged."`
	LogFormat string `default:"text" enum:"text,json" help:"Form of the log on standard error."`
}

func (c common) logger(role string) *slog.Logger {
	var level slog.Level
	if err := level.UnmarshalText([]byte(c.LogLevel)); err != nil {
		level = slog.LevelInfo // kong allows only known levels
	}
	options := &slog.HandlerOptions{Level: level}
	var h slog.Handler = slog.NewTextHandler(os.Stderr, options)
	if c.LogFormat == "json" {
		h = slog.NewJSONHandler(os.Stderr, options)
	}
	return slog.New(h).With("role", role)
}

func (c common) makeData() error {
	if err := os.MkdirAll(c.Data, 0o750); err != nil {
		return fmt.Errorf("cannot make data directory: %w", err)
	}
	return nil
}

// cluster are the flags of roles that speak to others over the network.
type cluster struct {
	ClusterKeyFile string `help:"File with the key all servers of the installation share. Default: cluster.key in the data directory, made at first start." placeholder:"FILE"`
	TLSCert        string `help:"Certificate of this server (PEM). Default: issued by the cluster's own CA." placeholder:"FILE"`
	TLSKey         string `help:"Key of the certificate (PEM)." placeholder:"FILE"`
	TLSCA          string `name:"tls-ca" help:"CAs of the servers' certificates (PEM). Default: the cluster's own CA." placeholder:"FILE"`
	Insecure       bool   `help:"No TLS between servers and agents. Only behind something else that protects."`
}

func (c cluster) open(data string) (rpc.Server, error) {
	path := c.ClusterKeyFile
	if path == "" {
		path = filepath.Join(data, "cluster.key")
	}
	key, err := rpc.OpenClusterKey(path)
	if err != nil {
		return rpc.Server{}, err
	}
	return rpc.Server{Key: key, CertFile: c.TLSCert, KeyFile: c.TLSKey, CAFile: c.TLSCA, Insecure: c.Insecure}, nil
}

// listen are the flags of roles that serve gRPC.
type listen struct {
	GRPC      string `name:"grpc" default:"127.0.0.1:9090" help:"Address to serve gRPC on." placeholder:"ADDR"`
	Advertise string `help:"Address others reach this server by. Default: the address of --grpc." placeholder:"ADDR"`
}

func (l listen) address() string {
	if l.Advertise != "" {
		return l.Advertise
	}
	return l.GRPC
}

// metadata are the flags of roles that use the metadata database.
type metadata struct {
	DB            string `name:"db" help:"Metadata database: postgres://… or the path of an SQLite file. Default: meta.db in the data directory." placeholder:"DSN"`
	SecretKeyFile string `help:"File with the key that encrypts secrets at rest. Default: secret.key in the data directory, made at first start." placeholder:"FILE"`
}

// opened is the metadata database and what stands on it.
type opened struct {
	db        *bun.DB
	box       *secret.Box
	resources *resource.Store
}

// open opens the database and brings its tables up to date.
func (m metadata) open(ctx context.Context, data string) (opened, error) {
	dsn, keyFile := m.DB, m.SecretKeyFile
	if dsn == "" {
		dsn = filepath.Join(data, "meta.db")
	}
	if keyFile == "" {
		keyFile = filepath.Join(data, "secret.key")
	}
	box, err := secret.Load(keyFile)
	if err != nil {
		return opened{}, err
	}
	db, err := meta.Open(ctx, dsn)
	if err != nil {
		return opened{}, err
	}
	if err := console.Migrate(ctx, db); err != nil {
		return opened{}, errors.Join(err, db.Close())
	}
	compiles := func(spec logrule.Spec) error { _, err := logpipe.Compile(spec); return err }
	return opened{db, box, resource.NewStore(db, box, resource.Builtin(compiles)...)}, nil
}

// serverID returns the id of this server, kept in the data directory.
func serverID(data, prefix string) (string, error) {
	path := filepath.Join(data, prefix+"id")
	text, err := os.ReadFile(path)
	if err == nil {
		return strings.TrimSpace(string(text)), nil
	}
	if !errors.Is(err, os.ErrNotExist) {
		return "", fmt.Errorf("cannot read server id: %w", err)
	}
	id := resource.NewID(prefix)
	if err := os.WriteFile(path, []byte(id+"\n"), 0o640); err != nil {
		return "", fmt.Errorf("cannot keep server id: %w", err)
	}
	return id, nil
}

// serveGRPC serves until ctx ends; open streams are then cut after a second.
func serveGRPC(ctx context.Context, l net.Listener, options []grpc.ServerOption, register ...func(grpc.ServiceRegistrar)) error {
	s := grpc.NewServer(options...)
	for _, r := range register {
		r(s)
	}
	grpc_health_v1.RegisterHealthServer(s, health.NewServer())
	stopped := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(stopped)
		cut := time.AfterFunc(time.Second, s.Stop)
		s.GracefulStop()
		cut.Stop()
	})
	err := s.Serve(l)
	if stop() {
		return fmt.Errorf("cannot serve gRPC on %s: %w", l.Addr(), err)
	}
	<-stopped
	return nil
}

// role is one part of a process: it runs until its context ends.
type role struct {
	name string
	run  func(context.Context) error
}

// runRoles runs all roles; the first that fails ends the others.
func runRoles(ctx context.Context, log *slog.Logger, roles ...role) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	type ended struct {
		name string
		err  error
	}
	results := make(chan ended, len(roles))
	for _, r := range roles {
		go func() { results <- ended{r.name, r.run(ctx)} }()
	}
	var failures []error
	for range roles {
		e := <-results
		if e.err != nil && !errors.Is(e.err, context.Canceled) {
			failures = append(failures, fmt.Errorf("%s: %w", e.name, e.err))
		} else if ctx.Err() == nil {
			failures = append(failures, fmt.Errorf("%s ended by itself", e.name))
		}
		if ctx.Err() == nil {
			log.Info("stopping")
			cancel()
		}
	}
	return errors.Join(failures...)
}
