package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"path/filepath"
	"time"

	"google.golang.org/grpc"

	"github.com/pharos-stack/pharos/compute"
	"github.com/pharos-stack/pharos/compute/query"
	"github.com/pharos-stack/pharos/compute/store"
	"github.com/pharos-stack/pharos/compute/store/clickhouse"
	"github.com/pharos-stack/pharos/compute/store/embedded"
	pharosv1 "github.com/pharos-stack/pharos/proto/pharos/v1"
)

// storage are the flags of where series are kept.
type storage struct {
	ClickHouse        string `name:"clickhouse" help:"Keep series in ClickHouse: clickhouse://user:password@host:9000/pharos. Default: embedded, in the data directory." placeholder:"DSN"`
	ClickHouseCluster string `name:"clickhouse-cluster" help:"Name of a cluster in ClickHouse's configuration, for replicated tables." placeholder:"NAME"`
	Retention         days   `default:"21d" help:"How long series are kept as they settled, such as 21d."`
	Retention5m       days   `name:"retention-5m" env:"PHAROS_RETENTION_5M" help:"How long their rollups to five minutes are kept. Default: 90d, or --retention if longer."`
	Retention1h       days   `name:"retention-1h" env:"PHAROS_RETENTION_1H" help:"How long their rollups to an hour are kept. Default: 400d, or --retention-5m if longer."`
}

func (s storage) open(ctx context.Context, data string, log *slog.Logger) (store.Store, error) {
	if s.ClickHouse != "" {
		return clickhouse.Open(ctx, clickhouse.Options{DSN: s.ClickHouse, Cluster: s.ClickHouseCluster, Retention: time.Duration(s.Retention),
			Retention5m: time.Duration(s.Retention5m), Retention1h: time.Duration(s.Retention1h), Logger: log})
	}
	return embedded.Open(embedded.Options{Dir: filepath.Join(data, "series"), Retention: time.Duration(s.Retention),
		Retention5m: time.Duration(s.Retention5m), Retention1h: time.Duration(s.Retention1h), Logger: log})
}

// openRows opens where lines are kept, as long as series as they settled.
func (s storage) openRows(ctx context.Context, data string, log *slog.Logger) (store.Rows, error) {
	if s.ClickHouse != "" {
		return clickhouse.OpenRows(ctx, clickhouse.Options{DSN: s.ClickHouse, Cluster: s.ClickHouseCluster, Retention: time.Duration(s.Retention), Logger: log})
	}
	return embedded.OpenRows(embedded.Options{Dir: filepath.Join(data, "lines"), Retention: time.Duration(s.Retention), Logger: log})
}

// node is a compute with its store and its queries.
type node struct {
	compute *compute.Compute
	queries *query.Service
	peers   *computes
	store   store.Store
	rows    store.Rows
}

// openNode makes a compute. register is the connection to register.
func openNode(ctx context.Context, s storage, o compute.Options, data string, register grpc.ClientConnInterface,
	dial func(string) (*grpc.ClientConn, error)) (*node, error) {
	var err error
	n := &node{peers: &computes{register: pharosv1.NewRegisterServiceClient(register), dial: dial, log: o.Logger, except: o.Address}}
	if n.store, err = s.open(ctx, data, o.Logger); err != nil {
		return nil, err
	}
	if n.rows, err = s.openRows(ctx, data, o.Logger); err != nil {
		return nil, errors.Join(err, n.store.Close())
	}
	o.Store, o.Rows, o.Register, o.Dir, o.Version = n.store, n.rows, register, data, version
	if n.compute, err = compute.New(o); err != nil {
		return nil, errors.Join(err, n.Close())
	}
	n.queries = query.New(query.Options{Store: n.store, Rows: n.rows, Live: n.compute, Peers: n.peers.clients, Logger: o.Logger})
	return n, nil
}

func (n *node) services(s grpc.ServiceRegistrar) {
	n.compute.RegisterServices(s)
	pharosv1.RegisterQueryServiceServer(s, n.queries)
}

// Close closes the stores, after the compute's Run has ended.
func (n *node) Close() error { return errors.Join(n.rows.Close(), n.store.Close()) }

var _ io.Closer = (*node)(nil)

type computeRole struct {
	common
	cluster
	listen
	toRegister
	storage
}

// Run runs a compute.
func (r *computeRole) Run(ctx context.Context) (err error) {
	log := r.logger("compute")
	if err := r.makeData(); err != nil {
		return err
	}
	security, err := r.cluster.open(r.Data)
	if err != nil {
		return err
	}
	id, err := serverID(r.Data, "cmp_")
	if err != nil {
		return err
	}
	dial, err := dialer(security)
	if err != nil {
		return err
	}
	conn, err := dial(r.toRegister.Register)
	if err != nil {
		return err
	}
	defer conn.Close()
	n, err := openNode(ctx, r.storage, compute.Options{ID: id, Address: r.address(), Logger: log}, r.Data, conn, dial)
	if err != nil {
		return fmt.Errorf("cannot start compute: %w", err)
	}
	defer func() { err = errors.Join(err, n.Close()) }()
	serve, err := serveOn(r.GRPC, security, n.services)
	if err != nil {
		return err
	}
	log.Info("compute serves", "grpc", r.GRPC, "id", id)
	return runRoles(ctx, log, role{"compute", n.compute.Run}, role{"gRPC", serve}, role{"peers", n.peers.run})
}
