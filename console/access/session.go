package access

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/uptrace/bun"

	"github.com/pharos-stack/pharos/console/api"
	"github.com/pharos-stack/pharos/internal/audit"
	"github.com/pharos-stack/pharos/internal/fielderr"
)

// WorkspaceRole is a workspace as its member sees it.
type WorkspaceRole struct {
	Name  string   `json:"name"`
	Title string   `json:"title"`
	Role  api.Role `json:"role" enum:"viewer,editor,admin"`
}

// SessionState is the answer to a sign-in.
type SessionState struct {
	User       User            `json:"user"`
	Workspaces []WorkspaceRole `json:"workspaces"`
	ExpiresAt  time.Time       `json:"expires_at"`
}

// Me tells callers who they are.
type Me struct {
	User       User            `json:"user"`
	Workspaces []WorkspaceRole `json:"workspaces"`
	// Token is set when the caller used an API token.
	TokenWorkspace string `json:"token_workspace,omitempty" doc:"The workspace of the API token, if one was used"`
	Version        string `json:"server_version"`
}

type signIn struct {
	remote string
	secure bool
	Body   struct {
		Username string `json:"username" minLength:"1" maxLength:"64"`
		Password string `json:"password" minLength:"1" maxLength:"200"`
	}
}

// Resolve notes where the request came from.
func (s *signIn) Resolve(ctx huma.Context) []error {
	s.remote = ctx.RemoteAddr()
	s.secure = ctx.TLS() != nil || ctx.Header("X-Forwarded-Proto") == "https"
	return nil
}

type signedIn struct {
	SetCookie http.Cookie `header:"Set-Cookie"`
	Body      SessionState
}

type signedOut struct {
	SetCookie http.Cookie `header:"Set-Cookie"`
}

type meOut struct{ Body Me }

type meIn struct {
	Body struct {
		DisplayName *string `json:"display_name,omitempty" maxLength:"64"`
		Language    *string `json:"language,omitempty" enum:"en,zh-CN,"`
		Theme       *string `json:"theme,omitempty" enum:"light,dark,system,"`
		Timezone    *string `json:"timezone,omitempty" maxLength:"64" doc:"IANA zone; empty: the browser's"`
	}
}

type passwordIn struct {
	Body struct {
		OldPassword string `json:"old_password" minLength:"1" maxLength:"200"`
		NewPassword string `json:"new_password" doc:"10 to 200 characters"`
	}
}

func (a *Access) sessionRoutes(r *api.API) {
	api.Route(r, "signIn", "POST", "/api/v1/session", api.Public, "Sign in", a.signIn)
	api.Route(r, "signOut", "DELETE", "/api/v1/session", api.SignedIn, "Sign out", a.signOut, api.AlsoOneTime)
	api.Route(r, "getMe", "GET", "/api/v1/me", api.SignedIn, "Who am I", a.me, api.AlsoOneTime)
	api.Route(r, "updateMe", "PATCH", "/api/v1/me", api.SignedIn, "Change my settings", a.updateMe, api.AlsoOneTime)
	api.Route(r, "changePassword", "PUT", "/api/v1/me/password", api.SignedIn, "Change my password", a.changePassword, api.AlsoOneTime, api.Status(http.StatusNoContent))
}

func cookie(value string, expires time.Time, secure bool) http.Cookie {
	c := http.Cookie{Name: api.SessionCookie, Value: value, Path: "/", HttpOnly: true, Secure: secure, SameSite: http.SameSiteStrictMode, Expires: expires}
	if value == "" {
		c.MaxAge = -1
	}
	return c
}

func (a *Access) signIn(ctx context.Context, in *signIn) (*signedIn, error) {
	ip, key, now := clientIP(in.remote), userKey(in.Body.Username), a.Clock()
	if wait := a.limiter.wait(ip, key, now); wait > 0 {
		return nil, api.Code(http.StatusTooManyRequests, "too_many_attempts").WithHeader("Retry-After", strconv.Itoa(int(wait.Seconds())+1))
	}
	u := new(userRow)
	err := a.DB.NewSelect().Model(u).Where("username_key = ?", key).Scan(ctx)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return nil, fmt.Errorf("cannot read user: %w", err)
	}
	ok, err := a.hasher.matches(ctx, in.Body.Password, u.PasswordHash)
	if err != nil {
		return nil, err
	}
	if !ok || u.Disabled {
		a.limiter.failed(ip, key, now)
		a.Log.Warn("sign-in refused", "user", in.Body.Username, "ip", ip, "request_id", api.RequestID(ctx))
		return nil, api.Code(http.StatusUnauthorized, "bad_credentials")
	}
	a.limiter.succeeded(ip, key)
	secret := newSecret()
	s := &session{Hash: secretHash(secret), UserID: u.ID, CreatedMs: now.UnixMilli(), ExpiresMs: now.Add(a.SessionIdle).UnixMilli()}
	u.LastLoginMs = now.UnixMilli()
	err = a.DB.RunInTx(ctx, nil, func(ctx context.Context, tx bun.Tx) error {
		if _, err := tx.NewInsert().Model(s).Exec(ctx); err != nil {
			return err
		}
		if _, err := tx.NewUpdate().Model(u).Column("last_login_ms").WherePK().Exec(ctx); err != nil {
			return err
		}
		return audit.Record(ctx, tx, audit.Actor{Name: u.Username, RequestID: api.RequestID(ctx)},
			audit.Entry{Action: "sign_in", Kind: "Session", Name: u.Username, ObjectID: u.ID}, nil, map[string]string{"ip": ip})
	})
	if err != nil {
		return nil, fmt.Errorf("cannot start session: %w", err)
	}
	roles, err := a.roles(ctx, a.DB, u)
	if err != nil {
		return nil, err
	}
	spaces, err := a.workspaceRoles(ctx, roles)
	if err != nil {
		return nil, err
	}
	// The browser keeps the cookie as long as the session can last; the server decides.
	out := &signedIn{SetCookie: cookie(secret, now.Add(a.SessionMax), in.secure)}
	out.Body = SessionState{User: userOf(u, roles), Workspaces: spaces, ExpiresAt: time.UnixMilli(s.ExpiresMs).UTC()}
	return out, nil
}

// Prune removes expired sessions.
func (a *Access) Prune(ctx context.Context) error {
	_, err := a.DB.NewDelete().Model((*session)(nil)).Where("expires_ms <= ?", a.Clock().UnixMilli()).Exec(ctx)
	return err
}

func (a *Access) signOut(ctx context.Context, _ *struct{}) (*signedOut, error) {
	p, _ := api.Caller(ctx)
	if p.Session != "" {
		if _, err := a.DB.NewDelete().Model(&session{Hash: p.Session}).WherePK().Exec(ctx); err != nil {
			return nil, fmt.Errorf("cannot end session: %w", err)
		}
	}
	return &signedOut{SetCookie: cookie("", time.Unix(1, 0), false)}, nil
}

func (a *Access) workspaceRoles(ctx context.Context, roles map[string]api.Role) ([]WorkspaceRole, error) {
	var rows []workspaceRow
	if err := a.DB.NewSelect().Model(&rows).Order("name").Scan(ctx); err != nil {
		return nil, fmt.Errorf("cannot list workspaces: %w", err)
	}
	out := []WorkspaceRole{}
	for _, r := range rows {
		if role := roles[r.Name]; role != "" {
			out = append(out, WorkspaceRole{Name: r.Name, Title: r.Title, Role: role})
		}
	}
	return out, nil
}

// caller returns the caller and their user.
func (a *Access) caller(ctx context.Context) (*api.Principal, *userRow, error) {
	p, refused := api.Caller(ctx)
	if refused != nil {
		return nil, nil, refused
	}
	u := &userRow{ID: p.UserID}
	if err := a.DB.NewSelect().Model(u).WherePK().Scan(ctx); err != nil {
		return nil, nil, fmt.Errorf("cannot read user: %w", err)
	}
	return p, u, nil
}

func (a *Access) me(ctx context.Context, _ *struct{}) (*meOut, error) {
	p, u, err := a.caller(ctx)
	if err != nil {
		return nil, err
	}
	spaces, err := a.workspaceRoles(ctx, p.Roles)
	if err != nil {
		return nil, err
	}
	user := userOf(u, p.Roles)
	user.InstallationAdmin = p.Admin
	return &meOut{Body: Me{User: user, Workspaces: spaces, TokenWorkspace: p.TokenWorkspace, Version: a.Version}}, nil
}

// refuseToken keeps tokens from changing the person behind them.
func refuseToken(p *api.Principal) error {
	if p.TokenID != "" {
		return api.Code(http.StatusForbidden, "forbidden")
	}
	return nil
}

func (a *Access) updateMe(ctx context.Context, in *meIn) (*meOut, error) {
	p, u, err := a.caller(ctx)
	if err != nil {
		return nil, err
	}
	if err := refuseToken(p); err != nil {
		return nil, err
	}
	if zone := in.Body.Timezone; zone != nil && *zone != "" {
		if _, err := time.LoadLocation(*zone); err != nil {
			return nil, api.BadField("timezone", "bad_timezone", "%q is not an IANA time zone, such as Asia/Shanghai", *zone)
		}
	}
	for _, f := range []struct{ from, to *string }{{in.Body.DisplayName, &u.DisplayName}, {in.Body.Language, &u.Language},
		{in.Body.Theme, &u.Theme}, {in.Body.Timezone, &u.Timezone}} {
		if f.from != nil {
			*f.to = *f.from
		}
	}
	if _, err := a.DB.NewUpdate().Model(u).Column("display_name", "language", "theme", "timezone").WherePK().Exec(ctx); err != nil {
		return nil, fmt.Errorf("cannot store settings: %w", err)
	}
	return a.me(ctx, nil)
}

func (a *Access) changePassword(ctx context.Context, in *passwordIn) (*struct{}, error) {
	p, u, err := a.caller(ctx)
	if err != nil {
		return nil, err
	}
	if err := refuseToken(p); err != nil {
		return nil, err
	}
	now := a.Clock()
	if wait := a.limiter.wait("password", u.ID, now); wait > 0 {
		return nil, api.Code(http.StatusTooManyRequests, "too_many_attempts").WithHeader("Retry-After", strconv.Itoa(int(wait.Seconds())+1))
	}
	ok, err := a.hasher.matches(ctx, in.Body.OldPassword, u.PasswordHash)
	if err != nil {
		return nil, err
	}
	var es fielderr.Errors
	if !ok {
		a.limiter.failed("password", u.ID, now)
		es.Add("old_password", "bad_credentials", "is not the present password")
	}
	checkPassword(&es, "new_password", in.Body.NewPassword, u.Username)
	if in.Body.NewPassword == in.Body.OldPassword {
		es.Add("new_password", "bad_password", "is the present one; choose another")
	}
	if err := es.Err(); err != nil {
		return nil, err
	}
	a.limiter.succeeded("password", u.ID)
	if u.PasswordHash, err = a.hasher.hash(ctx, in.Body.NewPassword); err != nil {
		return nil, err
	}
	u.MustChange = false
	err = a.DB.RunInTx(ctx, nil, func(ctx context.Context, tx bun.Tx) error {
		if _, err := tx.NewUpdate().Model(u).Column("password_hash", "must_change").WherePK().Exec(ctx); err != nil {
			return err
		}
		// Whoever else is signed in with the old password is not any more.
		if _, err := tx.NewDelete().Model((*session)(nil)).Where("user_id = ? AND hash <> ?", u.ID, p.Session).Exec(ctx); err != nil {
			return err
		}
		return audit.Record(ctx, tx, api.Actor(ctx), audit.Entry{Action: "change_password", Kind: "User", Name: u.Username, ObjectID: u.ID}, nil, nil)
	})
	if err != nil {
		return nil, fmt.Errorf("cannot change password: %w", err)
	}
	return nil, nil
}

func sortedRoles(roles map[string]api.Role) []string {
	names := make([]string, 0, len(roles))
	for name := range roles {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}
