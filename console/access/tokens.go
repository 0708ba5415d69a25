package access

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/http"
	"time"
	"unicode/utf8"

	"github.com/uptrace/bun"

	"github.com/pharos-stack/pharos/console/api"
	"github.com/pharos-stack/pharos/internal/audit"
	"github.com/pharos-stack/pharos/internal/fielderr"
	"github.com/pharos-stack/pharos/internal/resource"
)

// TokenPrefix begins every API token, so that scanners recognise a leaked one.
const TokenPrefix = "pat_"

// Token is an API token; its secret is shown only when it is made.
type Token struct {
	ID         string     `json:"id"`
	Name       string     `json:"name"`
	User       string     `json:"user" doc:"Who made it; it never has more rights than they have"`
	Workspace  string     `json:"workspace"`
	Role       api.Role   `json:"role" enum:"viewer,editor,admin"`
	CreatedAt  time.Time  `json:"created_at"`
	ExpiresAt  *time.Time `json:"expires_at,omitempty"`
	LastUsedAt *time.Time `json:"last_used_at,omitempty" doc:"Up to a minute old"`
}

// NewToken is a token with its secret.
type NewToken struct {
	Token
	Secret string `json:"secret" doc:"The token; this is the only time it is shown"`
}

func tokenOf(t *tokenRow, user string) Token {
	at := func(ms int64) *time.Time {
		if ms == 0 {
			return nil
		}
		v := time.UnixMilli(ms).UTC()
		return &v
	}
	return Token{ID: t.ID, Name: t.Name, User: user, Workspace: t.Workspace, Role: t.Role, CreatedAt: time.UnixMilli(t.CreatedMs).UTC(),
		ExpiresAt: at(t.ExpiresMs), LastUsedAt: at(t.LastUsedMs)}
}

type tokenListIn struct {
	api.ListParams
	Workspace string `query:"workspace" doc:"Only tokens of this workspace"`
}
type tokenListOut struct{ Body api.Page[Token] }
type tokenCreateIn struct {
	Body struct {
		Name      string     `json:"name" doc:"1 to 64 characters"`
		Workspace string     `json:"workspace"`
		Role      api.Role   `json:"role,omitempty" enum:"viewer,editor,admin" doc:"Absent: the caller's own"`
		ExpiresAt *time.Time `json:"expires_at,omitempty" doc:"Absent: never"`
	}
}
type tokenCreateOut struct{ Body NewToken }
type tokenID struct {
	ID string `path:"id"`
}

func (a *Access) tokenRoutes(r *api.API) {
	api.Route(r, "listTokens", "GET", "/api/v1/tokens", api.SignedIn, "List my API tokens; an installation administrator sees all", a.listTokens)
	api.Route(r, "createToken", "POST", "/api/v1/tokens", api.SignedIn, "Create an API token", a.createToken, api.Status(http.StatusCreated))
	api.Route(r, "deleteToken", "DELETE", "/api/v1/tokens/{id}", api.SignedIn, "Delete an API token", a.deleteToken, api.Status(http.StatusNoContent))
}

func (a *Access) listTokens(ctx context.Context, in *tokenListIn) (*tokenListOut, error) {
	p, refused := api.Caller(ctx)
	if refused != nil {
		return nil, refused
	}
	var rows []tokenRow
	q := a.DB.NewSelect().Model(&rows).Order("created_ms DESC")
	if !p.Admin {
		q = q.Where("user_id = ?", p.UserID)
	}
	if p.TokenID != "" {
		q = q.Where("workspace = ?", p.TokenWorkspace)
	}
	if in.Workspace != "" {
		q = q.Where("workspace = ?", in.Workspace)
	}
	if err := q.Scan(ctx); err != nil {
		return nil, fmt.Errorf("cannot list tokens: %w", err)
	}
	var users []userRow
	if err := a.DB.NewSelect().Model(&users).Column("id", "username").Scan(ctx); err != nil {
		return nil, fmt.Errorf("cannot list users: %w", err)
	}
	names := map[string]string{}
	for _, u := range users {
		names[u.ID] = u.Username
	}
	tokens := make([]Token, len(rows))
	for i := range rows {
		tokens[i] = tokenOf(&rows[i], names[rows[i].UserID])
	}
	page, err := api.Paginate(tokens, in.ListParams, func(t Token) string { return t.Name + " " + t.User }, api.Columns[Token]{
		"name": api.By(func(t Token) string { return t.Name }), "workspace": api.By(func(t Token) string { return t.Workspace }),
		"created_at": api.By(func(t Token) int64 { return t.CreatedAt.UnixMilli() }),
	})
	return &tokenListOut{Body: page}, err
}

func (a *Access) createToken(ctx context.Context, in *tokenCreateIn) (*tokenCreateOut, error) {
	p, u, err := a.caller(ctx)
	if err != nil {
		return nil, err
	}
	// Else a leaked token that expires could make one that does not.
	if err := refuseToken(p); err != nil {
		return nil, err
	}
	var es fielderr.Errors
	if n := utf8.RuneCountInString(in.Body.Name); n < 1 || n > 64 {
		es.Add("name", "bad_name", "has %d characters; give 1 to 64", n)
	}
	if in.Body.Role == "" {
		in.Body.Role = p.Roles[in.Body.Workspace]
	}
	switch role := p.Roles[in.Body.Workspace]; {
	case role.Rank() == 0:
		es.Add("workspace", "not_found", "there is no workspace %q", in.Body.Workspace)
	case role.Rank() < in.Body.Role.Rank():
		es.Add("role", "role_too_high", "%s; you are %s there, and a token can't be more", in.Body.Role, role)
	}
	now := a.Clock()
	if e := in.Body.ExpiresAt; e != nil && !e.After(now) {
		es.Add("expires_at", "in_past", "%s is over; give a time to come", e.UTC().Format(time.RFC3339))
	}
	if err := es.Err(); err != nil {
		return nil, err
	}
	secret := TokenPrefix + newSecret()
	t := &tokenRow{ID: resource.NewID("tok_"), Hash: secretHash(secret), Name: in.Body.Name, UserID: u.ID, Workspace: in.Body.Workspace,
		Role: in.Body.Role, CreatedMs: now.UnixMilli()}
	if in.Body.ExpiresAt != nil {
		t.ExpiresMs = in.Body.ExpiresAt.UnixMilli()
	}
	out := tokenOf(t, u.Username)
	err = a.DB.RunInTx(ctx, nil, func(ctx context.Context, tx bun.Tx) error {
		if _, err := tx.NewInsert().Model(t).Exec(ctx); err != nil {
			return err
		}
		return audit.Record(ctx, tx, api.Actor(ctx), audit.Entry{Workspace: t.Workspace, Action: "create", Kind: "Token", Name: t.Name, ObjectID: t.ID}, nil, out)
	})
	if err != nil {
		return nil, fmt.Errorf("cannot create token: %w", err)
	}
	return &tokenCreateOut{Body: NewToken{Token: out, Secret: secret}}, nil
}

func (a *Access) deleteToken(ctx context.Context, in *tokenID) (*struct{}, error) {
	p, refused := api.Caller(ctx)
	if refused != nil {
		return nil, refused
	}
	if err := refuseToken(p); err != nil {
		return nil, err
	}
	err := a.DB.RunInTx(ctx, nil, func(ctx context.Context, tx bun.Tx) error {
		t := &tokenRow{ID: in.ID}
		err := tx.NewSelect().Model(t).WherePK().Scan(ctx)
		if errors.Is(err, sql.ErrNoRows) || err == nil && !p.Admin && t.UserID != p.UserID {
			return api.NotFound("token", in.ID)
		}
		if err != nil {
			return err
		}
		if _, err := tx.NewDelete().Model(t).WherePK().Exec(ctx); err != nil {
			return err
		}
		return audit.Record(ctx, tx, api.Actor(ctx), audit.Entry{Workspace: t.Workspace, Action: "delete", Kind: "Token", Name: t.Name, ObjectID: t.ID}, tokenOf(t, ""), nil)
	})
	if err != nil {
		return nil, fmt.Errorf("cannot delete token: %w", err)
	}
	return nil, nil
}

// Routes registers the routes of access.
func (a *Access) Routes(r *api.API) {
	a.sessionRoutes(r)
	a.userRoutes(r)
	a.tokenRoutes(r)
	a.workspaceRoutes(r)
}
