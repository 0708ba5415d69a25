package access

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"time"

	"github.com/uptrace/bun"

	"github.com/pharos-stack/pharos/console/api"
	"github.com/pharos-stack/pharos/internal/audit"
	"github.com/pharos-stack/pharos/internal/fielderr"
	"github.com/pharos-stack/pharos/internal/resource"
)

// User is a person who can sign in.
type User struct {
	ID                 string              `json:"id"`
	Username           string              `json:"username"`
	DisplayName        string              `json:"display_name"`
	InstallationAdmin  bool                `json:"installation_admin"`
	Disabled           bool                `json:"disabled"`
	MustChangePassword bool                `json:"must_change_password"`
	Roles              map[string]api.Role `json:"roles" doc:"Role by workspace: viewer, editor or admin"`
	Language           string              `json:"language" doc:"en or zh-CN; empty: the browser's"`
	Theme              string              `json:"theme" doc:"light, dark or system; empty: system"`
	Timezone           string              `json:"timezone" doc:"IANA zone; empty: the browser's"`
	Version            int64               `json:"version"`
	CreatedAt          time.Time           `json:"created_at"`
	LastLoginAt        *time.Time          `json:"last_login_at,omitempty"`
}

func userOf(u *userRow, roles map[string]api.Role) User {
	if roles == nil {
		roles = map[string]api.Role{}
	}
	out := User{ID: u.ID, Username: u.Username, DisplayName: u.DisplayName, InstallationAdmin: u.Admin, Disabled: u.Disabled,
		MustChangePassword: u.MustChange, Roles: roles, Language: u.Language, Theme: u.Theme, Timezone: u.Timezone, Version: u.Version,
		CreatedAt: time.UnixMilli(u.CreatedMs).UTC()}
	if u.LastLoginMs != 0 {
		t := time.UnixMilli(u.LastLoginMs).UTC()
		out.LastLoginAt = &t
	}
	return out
}

type userListIn struct{ api.ListParams }
type userListOut struct{ Body api.Page[User] }
type userOut struct{ Body User }

// UserID names a user.
type UserID struct {
	ID string `path:"id"`
}

type newUser struct {
	Username          string              `json:"username" doc:"2 to 64 letters, digits, dots, hyphens, underscores or @"`
	Password          string              `json:"password" doc:"10 to 200 characters; must be changed at the first sign-in"`
	DisplayName       string              `json:"display_name,omitempty" maxLength:"64"`
	InstallationAdmin bool                `json:"installation_admin,omitempty"`
	Roles             map[string]api.Role `json:"roles,omitempty" doc:"Role by workspace: viewer, editor or admin"`
}

type userUpdate struct {
	Version           int64               `json:"version"`
	DisplayName       string              `json:"display_name,omitempty" maxLength:"64"`
	InstallationAdmin bool                `json:"installation_admin,omitempty"`
	Disabled          bool                `json:"disabled,omitempty"`
	Roles             map[string]api.Role `json:"roles,omitempty" doc:"Role by workspace; replaces those before"`
	Password          string              `json:"password,omitempty" doc:"A new password; must be changed at the next sign-in"`
}

type userCreateIn struct{ Body newUser }
type userUpdateIn struct {
	UserID
	Body userUpdate
}

func (a *Access) userRoutes(r *api.API) {
	api.Route(r, "listUsers", "GET", "/api/v1/users", api.Installation, "List users", a.listUsers)
	api.Route(r, "createUser", "POST", "/api/v1/users", api.Installation, "Create a user", a.createUser, api.Status(http.StatusCreated))
	api.Route(r, "getUser", "GET", "/api/v1/users/{id}", api.Installation, "Read a user", a.getUser)
	api.Route(r, "updateUser", "PUT", "/api/v1/users/{id}", api.Installation, "Update a user", a.updateUser)
	api.Route(r, "deleteUser", "DELETE", "/api/v1/users/{id}", api.Installation, "Delete a user", a.deleteUser, api.Status(http.StatusNoContent))
}

func (a *Access) listUsers(ctx context.Context, in *userListIn) (*userListOut, error) {
	var rows []userRow
	if err := a.DB.NewSelect().Model(&rows).Order("username_key").Scan(ctx); err != nil {
		return nil, fmt.Errorf("cannot list users: %w", err)
	}
	var members []membership
	if err := a.DB.NewSelect().Model(&members).Scan(ctx); err != nil {
		return nil, fmt.Errorf("cannot list roles: %w", err)
	}
	roles := map[string]map[string]api.Role{}
	for _, m := range members {
		if roles[m.UserID] == nil {
			roles[m.UserID] = map[string]api.Role{}
		}
		roles[m.UserID][m.Workspace] = m.Role
	}
	users := make([]User, len(rows))
	for i := range rows {
		users[i] = userOf(&rows[i], roles[rows[i].ID])
	}
	page, err := api.Paginate(users, in.ListParams, func(u User) string { return u.Username + " " + u.DisplayName }, api.Columns[User]{
		"username":     api.By(func(u User) string { return u.Username }),
		"display_name": api.By(func(u User) string { return u.DisplayName }),
		"created_at":   api.By(func(u User) int64 { return u.CreatedAt.UnixMilli() }),
	})
	return &userListOut{Body: page}, err
}

// readUser returns a user and the roles given to them.
func readUser(ctx context.Context, db bun.IDB, id string) (*userRow, map[string]api.Role, error) {
	u := &userRow{ID: id}
	if err := db.NewSelect().Model(u).WherePK().Scan(ctx); errors.Is(err, sql.ErrNoRows) {
		return nil, nil, api.NotFound("user", id)
	} else if err != nil {
		return nil, nil, fmt.Errorf("cannot read user: %w", err)
	}
	var members []membership
	if err := db.NewSelect().Model(&members).Where("user_id = ?", id).Scan(ctx); err != nil {
		return nil, nil, fmt.Errorf("cannot list roles: %w", err)
	}
	roles := map[string]api.Role{}
	for _, m := range members {
		roles[m.Workspace] = m.Role
	}
	return u, roles, nil
}

func (a *Access) getUser(ctx context.Context, in *UserID) (*userOut, error) {
	u, roles, err := readUser(ctx, a.DB, in.ID)
	if err != nil {
		return nil, err
	}
	return &userOut{Body: userOf(u, roles)}, nil
}

var usernames = regexp.MustCompile(`^[\p{L}\p{N}][\p{L}\p{M}\p{N}_.@-]{1,63}$`)

func (a *Access) checkRoles(ctx context.Context, es *fielderr.Errors, roles map[string]api.Role) error {
	for _, name := range sortedRoles(roles) {
		if roles[name].Rank() == 0 {
			es.Add("roles."+name, "bad_role", "%q; use viewer, editor or admin", roles[name])
		}
		if ok, err := a.DB.NewSelect().Model((*workspaceRow)(nil)).Where("name = ?", name).Exists(ctx); err != nil {
			return fmt.Errorf("cannot look for workspace: %w", err)
		} else if !ok {
			es.Add("roles."+name, "not_found", "there is no workspace %q", name)
		}
	}
	return nil
}

func (a *Access) createUser(ctx context.Context, in *userCreateIn) (*userOut, error) {
	var es fielderr.Errors
	if !usernames.MatchString(in.Body.Username) {
		es.Add("username", "bad_name", "%q; use 2 to 64 letters, digits, dots, hyphens, underscores or @, a letter or digit first", in.Body.Username)
	}
	checkPassword(&es, "password", in.Body.Password, in.Body.Username)
	if err := a.checkRoles(ctx, &es, in.Body.Roles); err != nil {
		return nil, err
	}
	if err := es.Err(); err != nil {
		return nil, err
	}
	hash, err := a.hasher.hash(ctx, in.Body.Password)
	if err != nil {
		return nil, err
	}
	by, now := api.Actor(ctx), a.Clock().UnixMilli()
	u := &userRow{ID: resource.NewID("usr_"), Username: in.Body.Username, UsernameKey: userKey(in.Body.Username), DisplayName: in.Body.DisplayName,
		PasswordHash: hash, Admin: in.Body.InstallationAdmin, MustChange: true, Version: 1, CreatedMs: now, CreatedBy: by.Name, UpdatedMs: now, UpdatedBy: by.Name}
	out := userOf(u, in.Body.Roles)
	err = a.DB.RunInTx(ctx, nil, func(ctx context.Context, tx bun.Tx) error {
		res, err := tx.NewInsert().Model(u).On("CONFLICT (username_key) DO NOTHING").Exec(ctx)
		if err != nil {
			return err
		}
		if n, err := res.RowsAffected(); err != nil {
			return err
		} else if n == 0 {
			return api.Fail(http.StatusConflict, "name_taken", "there is a user %q already; choose another name", u.Username)
		}
		if err := setRoles(ctx, tx, u.ID, in.Body.Roles); err != nil {
			return err
		}
		return audit.Record(ctx, tx, by, audit.Entry{Action: "create", Kind: "User", Name: u.Username, ObjectID: u.ID}, nil, out)
	})
	if err != nil {
		return nil, fmt.Errorf("cannot create user: %w", err)
	}
	return &userOut{Body: out}, nil
}

func setRoles(ctx context.Context, tx bun.Tx, userID string, roles map[string]api.Role) error {
	if _, err := tx.NewDelete().Model((*membership)(nil)).Where("user_id = ?", userID).Exec(ctx); err != nil {
		return err
	}
	for workspace, role := range roles {
		if _, err := tx.NewInsert().Model(&membership{UserID: userID, Workspace: workspace, Role: role}).Exec(ctx); err != nil {
			return err
		}
	}
	return nil
}

// keepOneAdmin refuses to take away the last administrator.
func keepOneAdmin(ctx context.Context, tx bun.Tx, leaving string) error {
	n, err := tx.NewSelect().Model((*userRow)(nil)).Where("admin = ? AND disabled = ? AND id <> ?", true, false, leaving).Count(ctx)
	if err != nil {
		return err
	}
	if n == 0 {
		return api.Fail(http.StatusConflict, "last_admin", "this is the last administrator of the installation; make another one first")
	}
	return nil
}

func (a *Access) updateUser(ctx context.Context, in *userUpdateIn) (*userOut, error) {
	u, roles, err := readUser(ctx, a.DB, in.ID)
	if err != nil {
		return nil, err
	}
	var es fielderr.Errors
	if in.Body.Password != "" {
		checkPassword(&es, "password", in.Body.Password, u.Username)
	}
	if err := a.checkRoles(ctx, &es, in.Body.Roles); err != nil {
		return nil, err
	}
	if err := es.Err(); err != nil {
		return nil, err
	}
	before := userOf(u, roles)
	if in.Body.Password != "" {
		if u.PasswordHash, err = a.hasher.hash(ctx, in.Body.Password); err != nil {
			return nil, err
		}
		u.MustChange = true
	}
	by := api.Actor(ctx)
	u.DisplayName, u.Admin, u.Disabled = in.Body.DisplayName, in.Body.InstallationAdmin, in.Body.Disabled
	u.Version, u.UpdatedMs, u.UpdatedBy = in.Body.Version+1, a.Clock().UnixMilli(), by.Name
	after := userOf(u, in.Body.Roles)
	err = a.DB.RunInTx(ctx, nil, func(ctx context.Context, tx bun.Tx) error {
		res, err := tx.NewUpdate().Model(u).Where("id = ? AND version = ?", u.ID, in.Body.Version).
			Column("display_name", "admin", "disabled", "password_hash", "must_change", "version", "updated_ms", "updated_by").Exec(ctx)
		if err != nil {
			return err
		}
		if n, err := res.RowsAffected(); err != nil {
			return err
		} else if n == 0 {
			return fmt.Errorf("user %q has version %d, not %d: %w", u.Username, before.Version, in.Body.Version, resource.ErrVersionConflict)
		}
		if !u.Admin || u.Disabled {
			if err := keepOneAdmin(ctx, tx, u.ID); err != nil {
				return err
			}
		}
		if err := setRoles(ctx, tx, u.ID, in.Body.Roles); err != nil {
			return err
		}
		if u.Disabled || in.Body.Password != "" {
			if _, err := tx.NewDelete().Model((*session)(nil)).Where("user_id = ?", u.ID).Exec(ctx); err != nil {
				return err
			}
		}
		return audit.Record(ctx, tx, by, audit.Entry{Action: "update", Kind: "User", Name: u.Username, ObjectID: u.ID}, before, after)
	})
	if err != nil {
		return nil, fmt.Errorf("cannot update user: %w", err)
	}
	return &userOut{Body: after}, nil
}

func (a *Access) deleteUser(ctx context.Context, in *UserID) (*struct{}, error) {
	err := a.DB.RunInTx(ctx, nil, func(ctx context.Context, tx bun.Tx) error {
		u, roles, err := readUser(ctx, tx, in.ID)
		if err != nil {
			return err
		}
		if err := keepOneAdmin(ctx, tx, u.ID); err != nil {
			return err
		}
		for _, model := range []any{(*membership)(nil), (*session)(nil), (*tokenRow)(nil)} {
			if _, err := tx.NewDelete().Model(model).Where("user_id = ?", u.ID).Exec(ctx); err != nil {
				return err
			}
		}
		if _, err := tx.NewDelete().Model(u).WherePK().Exec(ctx); err != nil {
			return err
		}
		return audit.Record(ctx, tx, api.Actor(ctx), audit.Entry{Action: "delete", Kind: "User", Name: u.Username, ObjectID: u.ID}, userOf(u, roles), nil)
	})
	if err != nil {
		return nil, fmt.Errorf("cannot delete user: %w", err)
	}
	return nil, nil
}
