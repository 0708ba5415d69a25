package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/uptrace/bun"
	"google.golang.org/grpc"

	"github.com/pharos-stack/pharos/agent"
	"github.com/pharos-stack/pharos/alarm"
	"github.com/pharos-stack/pharos/compute"
	"github.com/pharos-stack/pharos/console"
	"github.com/pharos-stack/pharos/internal/enroll"
	"github.com/pharos-stack/pharos/internal/rpc"
	pharosv1 "github.com/pharos-stack/pharos/proto/pharos/v1"
	"github.com/pharos-stack/pharos/register"
	"github.com/pharos-stack/pharos/vessel"
)

// allRole runs every role and an agent in one process. They speak to each other
// by the same gRPC as in the split deployment, over memory.
type allRole struct {
	common
	cluster
	listen
	metadata
	storage
	notices
	web
	NoAgent   bool              `help:"Do not watch this machine."`
	AgentRoot []string          `default:"/" help:"Directory that this machine's agent may read; repeatable." placeholder:"DIR"`
	Label     map[string]string `help:"Label of this machine, such as az=a; repeatable." placeholder:"KEY=VALUE"`
}

// inside is the name of the in-process listener.
const inside = "pharos"

// Run runs everything.
func (r *allRole) Run(ctx context.Context) (err error) {
	log := r.logger("all")
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

	// Whoever is asked for under our own address is reached over memory.
	local := rpc.NewLocal()
	remote, err := dialer(security)
	if err != nil {
		return err
	}
	dial := func(address string) (*grpc.ClientConn, error) {
		if address == r.address() {
			return local.Dial(security.Key, inside)
		}
		return remote(address)
	}
	conn, err := dial(r.address())
	if err != nil {
		return err
	}
	defer conn.Close()

	reg := register.New(register.Options{DB: m.db, Resources: m.resources, ClusterKey: security.Key, Logger: log.With("tier", "register")})
	vesselID, err := serverID(r.Data, "ves_")
	if err != nil {
		return err
	}
	v := vessel.New(vessel.Options{ID: vesselID, Address: r.address(), Version: version, Register: conn, Dial: dial, ClusterKey: security.Key,
		Logger: log.With("tier", "vessel")})
	computeID, err := serverID(r.Data, "cmp_")
	if err != nil {
		return err
	}
	data := filepath.Join(r.Data, "compute")
	n, err := openNode(ctx, r.storage, compute.Options{ID: computeID, Address: r.address(), Logger: log.With("tier", "compute")}, data, conn, dial)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, n.Close()) }()
	pool := &computes{register: pharosv1.NewRegisterServiceClient(conn), dial: dial, log: log}
	queries := pharosv1.NewQueryServiceClient(pool)
	alarms, err := alarm.New(ctx, alarm.Options{DB: m.db, Resources: m.resources, Query: queries, Logger: log.With("tier", "alarm"),
		Language: r.Language, ConsoleURL: r.consoleURL()})
	if err != nil {
		return err
	}
	serveWeb, err := r.web.open(ctx, r.address(), console.Options{DB: m.db, TryRule: alarm.Backtest, Resources: m.resources, Box: m.box, Register: pharosv1.NewRegisterServiceClient(conn),
		Query: queries, CAFingerprint: fingerprint, Logger: log.With("tier", "console")})
	if err != nil {
		return err
	}
	services := []func(grpc.ServiceRegistrar){reg.RegisterServices, v.RegisterServices, n.services}
	serveRemote, err := serveOn(r.GRPC, security, services...)
	if err != nil {
		return err
	}
	listener := local.Listen(inside)
	roles := []role{
		{"register", reg.Run}, {"vessel", v.Run}, {"compute", n.compute.Run}, {"peers", n.peers.run}, {"computes", pool.run},
		{"alarm", alarms.Run}, {"console", serveWeb}, {"gRPC", serveRemote},
		{"local gRPC", func(ctx context.Context) error {
			return serveGRPC(ctx, listener, local.ServerOptions(security.Key), services...)
		}},
	}
	if !r.NoAgent {
		a, err := r.agent(ctx, m.db, local, fingerprint, log.With("tier", "agent"))
		if err != nil {
			return err
		}
		roles = append(roles, role{"agent", a.Run})
	}
	return runRoles(ctx, log, roles...)
}

func (r *allRole) consoleURL() string {
	if r.ConsoleURL != "" {
		return r.ConsoleURL
	}
	return "http://" + r.HTTP
}

// agent makes the agent of this machine. It joins like any other, with a token
// that is made for it and soon expires.
func (r *allRole) agent(ctx context.Context, db *bun.DB, local *rpc.Local, fingerprint string, log *slog.Logger) (*agent.Agent, error) {
	data := filepath.Join(r.Data, "agent")
	token := ""
	if _, err := os.Stat(filepath.Join(data, "credential")); errors.Is(err, os.ErrNotExist) {
		now := time.Now()
		if token, _, err = enroll.CreateToken(ctx, db, enroll.NewToken{Label: "this machine", CreatedBy: "pharos all", Expires: now.Add(10 * time.Minute),
			CAFingerprint: fingerprint}, now); err != nil {
			return nil, fmt.Errorf("cannot admit this machine's agent: %w", err)
		}
	}
	overTLS, err := rpc.AgentClientOptions(rpc.Agent{CAFingerprint: fingerprint, StoredCA: filepath.Join(r.Data, "agent-ca.pem"), Insecure: r.Insecure})
	if err != nil {
		return nil, err
	}
	return agent.New(agent.Options{
		DataDir: data, JoinToken: token, Labels: r.Label, Roots: r.AgentRoot, Version: version, Logger: log,
		Register: func() (grpc.ClientConnInterface, io.Closer, error) {
			conn, err := local.DialAgent(inside)
			return conn, conn, err
		},
		Vessel: func(_ context.Context, address string) (grpc.ClientConnInterface, io.Closer, error) {
			if address == r.address() {
				conn, err := local.DialAgent(inside)
				return conn, conn, err
			}
			conn, err := grpc.NewClient(address, overTLS...)
			return conn, conn, err
		},
	})
}
