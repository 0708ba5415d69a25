package access

import (
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/uptrace/bun"
	"golang.org/x/text/unicode/norm"

	"github.com/pharos-stack/pharos/console/api"
	"github.com/pharos-stack/pharos/internal/audit"
	"github.com/pharos-stack/pharos/internal/resource"
)

// Options of Access.
type Options struct {
	DB        *bun.DB
	Resources *resource.Store
	Log       *slog.Logger
	// Clock defaults to time.Now.
	Clock func() time.Time
	// SessionIdle is how long a session lasts without a request. Default 12 h.
	SessionIdle time.Duration
	// SessionMax is how long a session lasts at most. Default 7 days.
	SessionMax time.Duration
	// Version of the program, shown by GET /me.
	Version string
}

// Access answers the routes of users, sessions, tokens and workspaces, and
// tells who makes a request.
type Access struct {
	Options
	hasher  *hasher
	limiter *limiter
}

// New returns an Access; its tables must be there (Migrations).
func New(o Options) *Access {
	if o.Clock == nil {
		o.Clock = time.Now
	}
	if o.SessionIdle == 0 {
		o.SessionIdle = 12 * time.Hour
	}
	if o.SessionMax == 0 {
		o.SessionMax = 7 * 24 * time.Hour
	}
	return &Access{Options: o, hasher: newHasher(), limiter: newLimiter()}
}

// Setup makes the default workspace and, when there is no user at all, the
// user admin. With an empty password it makes up one that must be changed at
// the first sign-in and returns it, for the caller to print once.
func (a *Access) Setup(ctx context.Context, password string) (oneTime string, err error) {
	now := a.Clock().UnixMilli()
	user := &userRow{ID: resource.NewID("usr_"), Username: "admin", UsernameKey: "admin", DisplayName: "Administrator", Admin: true,
		Version: 1, CreatedMs: now, CreatedBy: "setup", UpdatedMs: now, UpdatedBy: "setup"}
	if password == "" {
		oneTime, user.MustChange = rand.Text()[:16], true
		password = oneTime
	}
	if n, err := a.DB.NewSelect().Model((*userRow)(nil)).Count(ctx); err != nil {
		return "", fmt.Errorf("cannot look for users: %w", err)
	} else if n > 0 {
		return "", nil
	}
	if user.PasswordHash, err = a.hasher.hash(ctx, password); err != nil {
		return "", fmt.Errorf("cannot hash the first password: %w", err)
	}
	by := audit.Actor{Name: "setup"}
	err = a.DB.RunInTx(ctx, nil, func(ctx context.Context, tx bun.Tx) error {
		space := &workspaceRow{Name: DefaultWorkspace, Title: "Default", Version: 1, CreatedMs: now, CreatedBy: "setup", UpdatedMs: now, UpdatedBy: "setup"}
		if _, err := tx.NewInsert().Model(space).On("CONFLICT (name) DO NOTHING").Exec(ctx); err != nil {
			return err
		}
		// Of two consoles starting at once one makes the user.
		res, err := tx.NewInsert().Model(user).On("CONFLICT (username_key) DO NOTHING").Exec(ctx)
		if err != nil {
			return err
		}
		if n, err := res.RowsAffected(); err != nil || n == 0 {
			oneTime = ""
			return err
		}
		return audit.Record(ctx, tx, by, audit.Entry{Action: "create", Kind: "User", Name: user.Username, ObjectID: user.ID}, nil, userOf(user, nil))
	})
	if err != nil {
		return "", fmt.Errorf("cannot create the first user: %w", err)
	}
	return oneTime, nil
}

func userKey(name string) string { return strings.ToLower(norm.NFC.String(name)) }

// Authenticate notes in the request's context who makes it.
func (a *Access) Authenticate(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p, refused, err := a.identify(r)
		if err != nil {
			if r.Context().Err() == nil {
				a.Log.Error("cannot identify the caller", "request_id", api.RequestID(r.Context()), "err", err)
			}
			refused = api.FromError(err)
			api.WriteError(w, r, refused)
			return
		}
		next.ServeHTTP(w, r.WithContext(api.WithCaller(r.Context(), p, refused)))
	})
}

// identify returns the caller, or why the proof that came along is not good.
// Both are nil when none came along.
func (a *Access) identify(r *http.Request) (*api.Principal, *api.Error, error) {
	ctx := r.Context()
	if header := r.Header.Get("Authorization"); header != "" {
		scheme, value, _ := strings.Cut(header, " ")
		// Programs that only know basic authentication send a token as the password.
		if _, password, ok := r.BasicAuth(); ok && strings.HasPrefix(password, TokenPrefix) {
			scheme, value = "Bearer", password
		}
		if !strings.EqualFold(scheme, "Bearer") {
			return nil, api.Code(http.StatusUnauthorized, "unauthenticated"), nil
		}
		p, err := a.byToken(ctx, strings.TrimSpace(value))
		if err == nil && p == nil {
			return nil, api.Code(http.StatusUnauthorized, "bad_token"), nil
		}
		return p, nil, err
	}
	cookie, err := r.Cookie(api.SessionCookie)
	if err != nil || cookie.Value == "" {
		return nil, nil, nil
	}
	p, err := a.bySession(ctx, cookie.Value)
	if err == nil && p == nil {
		return nil, api.Code(http.StatusUnauthorized, "session_expired"), nil
	}
	return p, nil, err
}

func (a *Access) bySession(ctx context.Context, secret string) (*api.Principal, error) {
	s := &session{Hash: secretHash(secret)}
	if err := a.DB.NewSelect().Model(s).WherePK().Scan(ctx); errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	} else if err != nil {
		return nil, fmt.Errorf("cannot read session: %w", err)
	}
	now := a.Clock()
	if now.UnixMilli() >= s.ExpiresMs {
		return nil, nil
	}
	p, err := a.principal(ctx, s.UserID)
	if p == nil || err != nil {
		return nil, err
	}
	p.Session = s.Hash
	// A session slides on at most once a minute, to spare the database.
	expires := min(now.Add(a.SessionIdle).UnixMilli(), s.CreatedMs+a.SessionMax.Milliseconds())
	if expires-s.ExpiresMs > time.Minute.Milliseconds() {
		if _, err := a.DB.NewUpdate().Model(s).Set("expires_ms = ?", expires).WherePK().Exec(ctx); err != nil {
			return nil, fmt.Errorf("cannot prolong session: %w", err)
		}
	}
	return p, nil
}

func (a *Access) byToken(ctx context.Context, secret string) (*api.Principal, error) {
	t := new(tokenRow)
	if err := a.DB.NewSelect().Model(t).Where("hash = ?", secretHash(secret)).Scan(ctx); errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	} else if err != nil {
		return nil, fmt.Errorf("cannot read token: %w", err)
	}
	now := a.Clock().UnixMilli()
	if t.ExpiresMs != 0 && now >= t.ExpiresMs {
		return nil, nil
	}
	p, err := a.principal(ctx, t.UserID)
	if p == nil || err != nil {
		return nil, err
	}
	role := p.Roles[t.Workspace]
	if role.Rank() == 0 {
		return nil, nil // the user has left the workspace
	}
	if t.Role.Rank() < role.Rank() {
		role = t.Role
	}
	if now-t.LastUsedMs > time.Minute.Milliseconds() {
		if _, err := a.DB.NewUpdate().Model(t).Set("last_used_ms = ?", now).WherePK().Exec(ctx); err != nil {
			return nil, fmt.Errorf("cannot note use of token: %w", err)
		}
	}
	return &api.Principal{UserID: p.UserID, Name: p.Name + " (token " + t.Name + ")", TokenID: t.ID, TokenWorkspace: t.Workspace,
		Roles: map[string]api.Role{t.Workspace: role}}, nil
}

// principal returns a user's rights, nil if there is no such user any more.
func (a *Access) principal(ctx context.Context, userID string) (*api.Principal, error) {
	u := &userRow{ID: userID}
	if err := a.DB.NewSelect().Model(u).WherePK().Scan(ctx); errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	} else if err != nil {
		return nil, fmt.Errorf("cannot read user: %w", err)
	}
	if u.Disabled {
		return nil, nil
	}
	p := &api.Principal{UserID: u.ID, Name: u.Username, Admin: u.Admin, MustChangePassword: u.MustChange}
	var err error
	p.Roles, err = a.roles(ctx, a.DB, u)
	return p, err
}

// roles returns a user's effective role in every workspace they see.
func (a *Access) roles(ctx context.Context, db bun.IDB, u *userRow) (map[string]api.Role, error) {
	roles := map[string]api.Role{}
	if u.Admin {
		var spaces []workspaceRow
		if err := db.NewSelect().Model(&spaces).Column("name").Scan(ctx); err != nil {
			return nil, fmt.Errorf("cannot list workspaces: %w", err)
		}
		for _, s := range spaces {
			roles[s.Name] = api.Admin
		}
		return roles, nil
	}
	var members []membership
	if err := db.NewSelect().Model(&members).Where("user_id = ?", u.ID).Scan(ctx); err != nil {
		return nil, fmt.Errorf("cannot list roles: %w", err)
	}
	for _, m := range members {
		roles[m.Workspace] = m.Role
	}
	return roles, nil
}

// clientIP is the address the request came from; headers of proxies are not
// believed, since anybody can send them.
func clientIP(remote string) string {
	if host, _, err := net.SplitHostPort(remote); err == nil {
		return host
	}
	return remote
}
