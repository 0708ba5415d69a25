// Package access knows who may do what: users with argon2id passwords,
// browser sessions, API tokens, workspaces and the roles in them.
//
// It promises that passwords, session and token secrets are kept only as
// hashes, that a removed user's sessions and tokens end at once, and that a
// token never has more rights than the user who made it.
package access

import (
	"context"

	"github.com/uptrace/bun"

	"github.com/pharos-stack/pharos/console/api"
	"github.com/pharos-stack/pharos/internal/meta"
)

// DefaultWorkspace is there from the first start.
const DefaultWorkspace = "default"

type userRow struct {
	bun.BaseModel `bun:"table:users"`
	ID            string `bun:",pk"`
	Username      string `bun:",notnull"`
	UsernameKey   string `bun:",notnull,unique"`
	DisplayName   string `bun:",notnull"`
	PasswordHash  string `bun:",notnull"`
	// Admin of the installation.
	Admin      bool `bun:",notnull"`
	Disabled   bool `bun:",notnull"`
	MustChange bool `bun:",notnull"`
	// Settings of the person, empty for the default.
	Language    string `bun:",notnull"`
	Theme       string `bun:",notnull"`
	Timezone    string `bun:",notnull"`
	Version     int64  `bun:",notnull"`
	CreatedMs   int64  `bun:",notnull"`
	CreatedBy   string `bun:",notnull"`
	UpdatedMs   int64  `bun:",notnull"`
	UpdatedBy   string `bun:",notnull"`
	LastLoginMs int64  `bun:",notnull"`
}

type membership struct {
	bun.BaseModel `bun:"table:memberships"`
	UserID        string   `bun:",pk"`
	Workspace     string   `bun:",pk"`
	Role          api.Role `bun:",notnull"`
}

type session struct {
	bun.BaseModel `bun:"table:sessions"`
	// Hash of the cookie's value.
	Hash      string `bun:",pk"`
	UserID    string `bun:",notnull"`
	CreatedMs int64  `bun:",notnull"`
	ExpiresMs int64  `bun:",notnull"`
}

type tokenRow struct {
	bun.BaseModel `bun:"table:api_tokens"`
	ID            string   `bun:",pk"`
	Hash          string   `bun:",notnull,unique"`
	Name          string   `bun:",notnull"`
	UserID        string   `bun:",notnull"`
	Workspace     string   `bun:",notnull"`
	Role          api.Role `bun:",notnull"`
	CreatedMs     int64    `bun:",notnull"`
	// ExpiresMs is 0 for a token that does not expire.
	ExpiresMs  int64 `bun:",notnull"`
	LastUsedMs int64 `bun:",notnull"`
}

type workspaceRow struct {
	bun.BaseModel `bun:"table:workspaces"`
	Name          string `bun:",pk"`
	Title         string `bun:",notnull"`
	Description   string `bun:",notnull"`
	Version       int64  `bun:",notnull"`
	CreatedMs     int64  `bun:",notnull"`
	CreatedBy     string `bun:",notnull"`
	UpdatedMs     int64  `bun:",notnull"`
	UpdatedBy     string `bun:",notnull"`
}

// Migrations of the tables of access.
var Migrations = []meta.Migration{
	meta.CreateTables("access", (*userRow)(nil), (*membership)(nil), (*session)(nil), (*tokenRow)(nil), (*workspaceRow)(nil)),
	{Name: "access indexes", Up: func(ctx context.Context, db bun.IDB) error {
		for _, ddl := range []string{
			"CREATE INDEX sessions_user ON sessions (user_id)",
			"CREATE INDEX api_tokens_user ON api_tokens (user_id)",
			"CREATE INDEX memberships_workspace ON memberships (workspace)",
		} {
			if _, err := db.ExecContext(ctx, ddl); err != nil {
				return err
			}
		}
		return nil
	}},
}
