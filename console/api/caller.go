package api

import (
	"context"
	"net/http"

	"github.com/pharos-stack/pharos/internal/audit"
)

// SessionCookie is the name of the cookie of a browser's session.
const SessionCookie = "pharos_session"

// Role of a user or token in a workspace.
type Role string

// The roles, each including the one before.
const (
	Viewer Role = "viewer"
	Editor Role = "editor"
	Admin  Role = "admin"
)

// Rank orders roles; 0 is none.
func (r Role) Rank() int { return map[Role]int{Viewer: 1, Editor: 2, Admin: 3}[r] }

// Principal is who makes a request.
type Principal struct {
	UserID string
	// Name of the user, followed by the token's name if one was used.
	Name string
	// Admin of the installation; never true for a token.
	Admin bool
	// MustChangePassword allows nothing but that.
	MustChangePassword bool
	// Roles by workspace; an administrator of the installation is Admin in all that exist.
	Roles map[string]Role
	// Session is set when a browser's cookie was used, TokenID when an API token was.
	Session, TokenID string
	// TokenWorkspace is the one workspace a token is for.
	TokenWorkspace string
}

// Check returns nil when p has at least role in the workspace; 404 when p may
// not even know the workspace, 403 when the role is too low.
func (p *Principal) Check(workspace string, role Role) *Error {
	have := p.Roles[workspace].Rank()
	if have == 0 {
		return NotFound("workspace", workspace)
	}
	if have < role.Rank() {
		return code(http.StatusForbidden, "forbidden")
	}
	return nil
}

type callerKey struct{}

type caller struct {
	principal *Principal
	err       *Error
}

// WithCaller notes who makes the request, or why that is not known.
func WithCaller(ctx context.Context, p *Principal, err *Error) context.Context {
	return context.WithValue(ctx, callerKey{}, caller{p, err})
}

// Caller returns who makes the request, or the 401 that says why that is not known.
func Caller(ctx context.Context) (*Principal, *Error) {
	c, _ := ctx.Value(callerKey{}).(caller)
	if c.principal != nil {
		return c.principal, nil
	}
	if c.err != nil {
		return nil, c.err
	}
	return nil, code(http.StatusUnauthorized, "unauthenticated").WithHeader("WWW-Authenticate", "Bearer")
}

// Actor returns the caller as the audit log knows them.
func Actor(ctx context.Context) audit.Actor {
	actor := audit.Actor{RequestID: RequestID(ctx)}
	if p, err := Caller(ctx); err == nil {
		actor.Name = p.Name
	}
	return actor
}

type requestIDKey struct{}

// RequestID returns the id of the request.
func RequestID(ctx context.Context) string {
	id, _ := ctx.Value(requestIDKey{}).(string)
	return id
}
