// Package console serves the HTTP API and the web UI. The folders beside this
// file hold one capability each; web holds the browser's part.
package console

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/http"
	"time"

	"github.com/uptrace/bun"

	"github.com/pharos-stack/pharos/console/access"
	"github.com/pharos-stack/pharos/console/agents"
	"github.com/pharos-stack/pharos/console/alarms"
	"github.com/pharos-stack/pharos/console/api"
	"github.com/pharos-stack/pharos/console/dashboards"
	"github.com/pharos-stack/pharos/console/favourites"
	"github.com/pharos-stack/pharos/console/folders"
	"github.com/pharos-stack/pharos/console/masking"
	"github.com/pharos-stack/pharos/console/monitors"
	"github.com/pharos-stack/pharos/console/prom"
	"github.com/pharos-stack/pharos/console/receivers"
	"github.com/pharos-stack/pharos/console/resources"
	"github.com/pharos-stack/pharos/console/silences"
	"github.com/pharos-stack/pharos/console/site"
	"github.com/pharos-stack/pharos/console/templates"
	"github.com/pharos-stack/pharos/internal/alarmstate"
	"github.com/pharos-stack/pharos/internal/alarmtrial"
	"github.com/pharos-stack/pharos/internal/enroll"
	"github.com/pharos-stack/pharos/internal/meta"
	"github.com/pharos-stack/pharos/internal/personal"
	"github.com/pharos-stack/pharos/internal/resource"
	"github.com/pharos-stack/pharos/internal/secret"
	pharosv1 "github.com/pharos-stack/pharos/proto/pharos/v1"
)

// Options of the console.
type Options struct {
	// DB is the metadata database; Migrate must have been called on it.
	DB        *bun.DB
	Resources *resource.Store
	// Box seals kept answers; the same key as that of Resources.
	Box      *secret.Box
	Register pharosv1.RegisterServiceClient
	Query    pharosv1.QueryServiceClient
	// Web holds the built UI with index.html; nil serves the API alone.
	Web fs.FS
	// CAFingerprint is put into join tokens; empty without TLS.
	CAFingerprint string
	// AgentAddress is where agents reach register, as host:port, for the page
	// that says how to add agents; see agents.Reachable. Empty: the page takes
	// register's usual port.
	AgentAddress string
	// AdminPassword is the first password of the user admin; empty makes one up.
	AdminPassword string
	// Version of the program.
	Version string
	// Logger defaults to slog.Default().
	Logger *slog.Logger
	// TryRule tries alarm rules on the past.
	TryRule alarmtrial.Run
	// Clock defaults to time.Now.
	Clock func() time.Time
	// SessionIdle and SessionMax as in access.Options.
	SessionIdle, SessionMax time.Duration
}

// Console serves HTTP.
type Console struct {
	// OneTimePassword of the user admin, if New has made it up. The program
	// prints it once; it is stored nowhere.
	OneTimePassword string

	handler http.Handler
	api     *api.API
	log     *slog.Logger
	// prune are the sweeps of Run, by what they remove.
	prune map[string]func(context.Context) error
}

// pruneEvery is how often Run removes what has expired.
const pruneEvery = 10 * time.Minute

// Migrate brings all tables the console uses up to date.
func Migrate(ctx context.Context, db *bun.DB) error {
	if err := resource.Migrate(ctx, db); err != nil {
		return err
	}
	if err := enroll.Migrate(ctx, db); err != nil {
		return err
	}
	for _, c := range []struct {
		name  string
		steps []meta.Migration
	}{{"access", access.Migrations}, {"idempotency", api.Migrations}, {"alarm", alarmstate.Migrations}, {"favourites", favourites.Migrations},
		{"personal", personal.Migrations}} {
		if err := meta.Migrate(ctx, db, c.name, c.steps); err != nil {
			return err
		}
	}
	return nil
}

// New returns a console, and creates the default workspace and the user admin
// when there is no user yet.
func New(ctx context.Context, o Options) (*Console, error) {
	if o.DB == nil || o.Resources == nil || o.Box == nil || o.Register == nil || o.Query == nil {
		return nil, errors.New("cannot start console: DB, Resources, Box, Register and Query must be set")
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	if o.Clock == nil {
		o.Clock = time.Now
	}
	c := &Console{log: o.Logger}
	who := c.routes(o)
	var err error
	if c.OneTimePassword, err = who.Setup(ctx, o.AdminPassword); err != nil {
		return nil, fmt.Errorf("cannot start console: %w", err)
	}
	mux := http.NewServeMux()
	mux.Handle("/api/", c.api)
	mux.Handle("/prometheus/", prom.New(prom.Options{Query: o.Query, Log: o.Logger, Clock: o.Clock, Version: o.Version}))
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) })
	if o.Web != nil {
		ui, err := site.New(o.Web)
		if err != nil {
			return nil, fmt.Errorf("cannot start console: %w", err)
		}
		mux.Handle("/", ui)
	}
	repeat := &api.Idempotency{DB: o.DB, Box: o.Box, Log: o.Logger, Clock: o.Clock}
	c.prune = map[string]func(context.Context) error{"expired sessions": who.Prune, "kept answers": repeat.Prune,
		"favourites of those who are gone": favourites.New(favouritesOf(o)).Prune}
	c.handler = api.Frame(o.Logger, site.Compress(who.Authenticate(api.Guard(repeat.Wrap(mux)))))
	return c, nil
}

func favouritesOf(o Options) favourites.Options {
	return favourites.Options{DB: o.DB, Resources: o.Resources, Register: o.Register, Clock: o.Clock}
}

// routes registers the routes of every capability.
func (c *Console) routes(o Options) *access.Access {
	c.api = api.New(o.Version, o.Logger)
	who := access.New(access.Options{DB: o.DB, Resources: o.Resources, Log: o.Logger, Clock: o.Clock, Version: o.Version,
		SessionIdle: o.SessionIdle, SessionMax: o.SessionMax})
	who.Routes(c.api)
	monitors.New(monitors.Options{Resources: o.Resources, Register: o.Register, Query: o.Query, Log: o.Logger, Clock: o.Clock}).Routes(c.api)
	folders.New(o.Resources).Routes(c.api)
	templates.New(o.Resources, o.Register).Routes(c.api)
	marked := favourites.New(favouritesOf(o))
	marked.Routes(c.api)
	alarms.New(alarms.Options{DB: o.DB, Resources: o.Resources, Query: o.Query, Clock: o.Clock, Try: o.TryRule}).Routes(c.api)
	dashboards.New(dashboards.Options{Resources: o.Resources, Query: o.Query, Favourites: marked}).Routes(c.api)
	masking.New(o.Resources).Routes(c.api)
	(&silences.Silences{Resources: o.Resources, Clock: o.Clock}).Routes(c.api)
	receivers.New(receivers.Options{DB: o.DB, Resources: o.Resources, Clock: o.Clock}).Routes(c.api)
	resources.New(o.Resources).Routes(c.api)
	agents.New(agents.Options{DB: o.DB, Resources: o.Resources, Register: o.Register, Query: o.Query, CAFingerprint: o.CAFingerprint,
		RegisterAddress: agents.Reachable(o.AgentAddress), Clock: o.Clock}).Routes(c.api)
	return who
}

// Handler answers all requests.
func (c *Console) Handler() http.Handler { return c.handler }

// Run removes expired sessions and kept answers from time to time until ctx
// ends; it returns nil then.
func (c *Console) Run(ctx context.Context) error {
	tick := time.NewTicker(pruneEvery)
	defer tick.Stop()
	for {
		for what, sweep := range c.prune {
			if err := sweep(ctx); err != nil && ctx.Err() == nil {
				c.log.Warn("cannot remove "+what+", trying again later", "err", err)
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// OpenAPI returns the document that describes the API, as indented JSON. It
// needs no database.
func OpenAPI() ([]byte, error) {
	c := &Console{}
	c.routes(Options{Resources: resource.NewStore(nil, nil, resource.Builtin(nil)...), Version: "1", Logger: slog.New(slog.DiscardHandler)})
	return api.Document(c.api)
}
