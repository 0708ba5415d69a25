package agents

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/pharos-stack/pharos/console/api"
	"github.com/pharos-stack/pharos/internal/audit"
	"github.com/pharos-stack/pharos/internal/enroll"
)

// JoinToken admits new agents; its secret is shown only when it is made.
type JoinToken struct {
	ID        string     `json:"id"`
	Label     string     `json:"label" doc:"What it is for"`
	CreatedAt time.Time  `json:"created_at"`
	CreatedBy string     `json:"created_by"`
	ExpiresAt *time.Time `json:"expires_at,omitempty"`
	Uses      int64      `json:"uses" doc:"Agents it admitted"`
}

// NewJoinToken is a join token with its secret.
type NewJoinToken struct {
	JoinToken
	Secret string `json:"secret" doc:"The token; this is the only time it is shown"`
}

type joinListIn struct{ api.ListParams }
type joinListOut struct{ Body api.Page[JoinToken] }
type joinCreateIn struct {
	Body struct {
		Label     string     `json:"label,omitempty" maxLength:"100"`
		ExpiresAt *time.Time `json:"expires_at,omitempty" doc:"Absent: never"`
	}
}
type joinCreateOut struct{ Body NewJoinToken }

func joinTokenOf(t enroll.JoinToken) JoinToken {
	out := JoinToken{ID: t.ID, Label: t.Label, CreatedAt: time.UnixMilli(t.CreatedMs).UTC(), CreatedBy: t.CreatedBy, Uses: t.Uses}
	if t.ExpiresMs != 0 {
		at := time.UnixMilli(t.ExpiresMs).UTC()
		out.ExpiresAt = &at
	}
	return out
}

func (a *Agents) tokenRoutes(r *api.API) {
	api.Route(r, "listJoinTokens", "GET", "/api/v1/join_tokens", api.Installation, "List tokens that admit agents", a.listTokens)
	api.Route(r, "createJoinToken", "POST", "/api/v1/join_tokens", api.Installation, "Create a token that admits agents", a.createToken, api.Status(http.StatusCreated))
	api.Route(r, "deleteJoinToken", "DELETE", "/api/v1/join_tokens/{id}", api.Installation, "Delete a join token; agents it admitted stay", a.deleteToken, api.Status(http.StatusNoContent))
}

func (a *Agents) listTokens(ctx context.Context, in *joinListIn) (*joinListOut, error) {
	tokens, err := enroll.ListTokens(ctx, a.DB)
	if err != nil {
		return nil, err
	}
	rows := make([]JoinToken, len(tokens))
	for i, t := range tokens {
		rows[i] = joinTokenOf(t)
	}
	page, err := api.Paginate(rows, in.ListParams, func(t JoinToken) string { return t.ID + " " + t.Label }, api.Columns[JoinToken]{
		"label": api.By(func(t JoinToken) string { return t.Label }), "created_at": api.By(func(t JoinToken) int64 { return t.CreatedAt.UnixMilli() }),
		"uses": api.By(func(t JoinToken) int64 { return t.Uses }),
	})
	return &joinListOut{Body: page}, err
}

func (a *Agents) createToken(ctx context.Context, in *joinCreateIn) (*joinCreateOut, error) {
	actor := api.Actor(ctx)
	n := enroll.NewToken{Label: in.Body.Label, CreatedBy: actor.Name, CAFingerprint: a.CAFingerprint}
	if in.Body.ExpiresAt != nil {
		n.Expires = *in.Body.ExpiresAt
	}
	secret, t, err := enroll.CreateToken(ctx, a.DB, n, a.Clock())
	if err != nil {
		return nil, err
	}
	out := joinTokenOf(t)
	if err := audit.Record(ctx, a.DB, actor, audit.Entry{Action: "create", Kind: "JoinToken", Name: t.Label, ObjectID: t.ID}, nil, out); err != nil {
		return nil, err
	}
	return &joinCreateOut{Body: NewJoinToken{JoinToken: out, Secret: secret}}, nil
}

func (a *Agents) deleteToken(ctx context.Context, in *agentID) (*struct{}, error) {
	if err := enroll.DeleteToken(ctx, a.DB, in.ID); errors.Is(err, enroll.ErrNotFound) {
		return nil, api.NotFound("join token", in.ID)
	} else if err != nil {
		return nil, err
	}
	return nil, audit.Record(ctx, a.DB, api.Actor(ctx), audit.Entry{Action: "delete", Kind: "JoinToken", Name: in.ID, ObjectID: in.ID}, nil, nil)
}

func (a *Agents) forget(ctx context.Context, in *agentID) (*struct{}, error) {
	if err := enroll.ForgetAgent(ctx, a.DB, in.ID); errors.Is(err, enroll.ErrNotFound) {
		return nil, api.NotFound("agent", in.ID)
	} else if err != nil {
		return nil, err
	}
	return nil, audit.Record(ctx, a.DB, api.Actor(ctx), audit.Entry{Action: "forget", Kind: "Agent", Name: in.ID, ObjectID: in.ID}, nil, nil)
}
