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

// Workspace separates what belongs to different teams.
type Workspace struct {
	Name        string    `json:"name" doc:"1 to 63 lower-case letters, digits or hyphens; for good"`
	Title       string    `json:"title"`
	Description string    `json:"description"`
	Role        api.Role  `json:"role" doc:"The caller's role" enum:"viewer,editor,admin"`
	Version     int64     `json:"version"`
	CreatedAt   time.Time `json:"created_at"`
	CreatedBy   string    `json:"created_by"`
	UpdatedAt   time.Time `json:"updated_at"`
	UpdatedBy   string    `json:"updated_by"`
}

func workspaceOf(r *workspaceRow, role api.Role) Workspace {
	return Workspace{Name: r.Name, Title: r.Title, Description: r.Description, Role: role, Version: r.Version,
		CreatedAt: time.UnixMilli(r.CreatedMs).UTC(), CreatedBy: r.CreatedBy, UpdatedAt: time.UnixMilli(r.UpdatedMs).UTC(), UpdatedBy: r.UpdatedBy}
}

type workspaceListIn struct{ api.ListParams }
type workspaceListOut struct{ Body api.Page[Workspace] }
type workspaceOut struct{ Body Workspace }

type workspaceCreateIn struct {
	Body struct {
		Name        string `json:"name"`
		Title       string `json:"title" minLength:"1" maxLength:"64"`
		Description string `json:"description,omitempty" maxLength:"500"`
	}
}

type workspaceUpdateIn struct {
	api.InWorkspace
	Body struct {
		Version     int64  `json:"version"`
		Title       string `json:"title" minLength:"1" maxLength:"64"`
		Description string `json:"description,omitempty" maxLength:"500"`
	}
}

func (a *Access) workspaceRoutes(r *api.API) {
	const one = "/api/v1/workspaces/{workspace}"
	api.Route(r, "listWorkspaces", "GET", "/api/v1/workspaces", api.SignedIn, "List the workspaces I see", a.listWorkspaces)
	api.Route(r, "createWorkspace", "POST", "/api/v1/workspaces", api.Installation, "Create a workspace", a.createWorkspace, api.Status(http.StatusCreated))
	api.Route(r, "getWorkspace", "GET", one, api.NeedViewer, "Read a workspace", a.getWorkspace)
	api.Route(r, "updateWorkspace", "PUT", one, api.NeedAdmin, "Update a workspace", a.updateWorkspace)
	api.Route(r, "deleteWorkspace", "DELETE", one, api.Installation, "Delete an empty workspace", a.deleteWorkspace, api.Status(http.StatusNoContent))
}

func (a *Access) listWorkspaces(ctx context.Context, in *workspaceListIn) (*workspaceListOut, error) {
	p, refused := api.Caller(ctx)
	if refused != nil {
		return nil, refused
	}
	var rows []workspaceRow
	if err := a.DB.NewSelect().Model(&rows).Order("name").Scan(ctx); err != nil {
		return nil, fmt.Errorf("cannot list workspaces: %w", err)
	}
	var spaces []Workspace
	for i := range rows {
		if role := p.Roles[rows[i].Name]; role != "" {
			spaces = append(spaces, workspaceOf(&rows[i], role))
		}
	}
	page, err := api.Paginate(spaces, in.ListParams, func(w Workspace) string { return w.Name + " " + w.Title }, api.Columns[Workspace]{
		"name": api.By(func(w Workspace) string { return w.Name }), "title": api.By(func(w Workspace) string { return w.Title }),
		"created_at": api.By(func(w Workspace) int64 { return w.CreatedAt.UnixMilli() }),
	})
	return &workspaceListOut{Body: page}, err
}

var workspaceNames = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,62}$`)

func (a *Access) createWorkspace(ctx context.Context, in *workspaceCreateIn) (*workspaceOut, error) {
	var es fielderr.Errors
	if !workspaceNames.MatchString(in.Body.Name) {
		es.Add("name", "bad_name", "%q; use 1 to 63 lower-case letters, digits or hyphens", in.Body.Name)
	}
	if err := es.Err(); err != nil {
		return nil, err
	}
	by, now := api.Actor(ctx), a.Clock().UnixMilli()
	row := &workspaceRow{Name: in.Body.Name, Title: in.Body.Title, Description: in.Body.Description, Version: 1,
		CreatedMs: now, CreatedBy: by.Name, UpdatedMs: now, UpdatedBy: by.Name}
	err := a.DB.RunInTx(ctx, nil, func(ctx context.Context, tx bun.Tx) error {
		res, err := tx.NewInsert().Model(row).On("CONFLICT (name) DO NOTHING").Exec(ctx)
		if err != nil {
			return err
		}
		if n, err := res.RowsAffected(); err != nil {
			return err
		} else if n == 0 {
			return api.Fail(http.StatusConflict, "name_taken", "there is a workspace %q already; choose another name", row.Name)
		}
		return audit.Record(ctx, tx, by, audit.Entry{Workspace: row.Name, Action: "create", Kind: "Workspace", Name: row.Name}, nil, workspaceOf(row, api.Admin))
	})
	if err != nil {
		return nil, fmt.Errorf("cannot create workspace: %w", err)
	}
	return &workspaceOut{Body: workspaceOf(row, api.Admin)}, nil
}

func readWorkspace(ctx context.Context, db bun.IDB, name string) (*workspaceRow, error) {
	row := &workspaceRow{Name: name}
	if err := db.NewSelect().Model(row).WherePK().Scan(ctx); errors.Is(err, sql.ErrNoRows) {
		return nil, api.NotFound("workspace", name)
	} else if err != nil {
		return nil, fmt.Errorf("cannot read workspace: %w", err)
	}
	return row, nil
}

func (a *Access) getWorkspace(ctx context.Context, in *api.InWorkspace) (*workspaceOut, error) {
	p, refused := api.Caller(ctx)
	if refused != nil {
		return nil, refused
	}
	row, err := readWorkspace(ctx, a.DB, in.Workspace)
	if err != nil {
		return nil, err
	}
	return &workspaceOut{Body: workspaceOf(row, p.Roles[in.Workspace])}, nil
}

func (a *Access) updateWorkspace(ctx context.Context, in *workspaceUpdateIn) (*workspaceOut, error) {
	by := api.Actor(ctx)
	var after Workspace
	err := a.DB.RunInTx(ctx, nil, func(ctx context.Context, tx bun.Tx) error {
		row, err := readWorkspace(ctx, tx, in.Workspace)
		if err != nil {
			return err
		}
		before := workspaceOf(row, api.Admin)
		row.Title, row.Description, row.Version = in.Body.Title, in.Body.Description, in.Body.Version+1
		row.UpdatedMs, row.UpdatedBy = a.Clock().UnixMilli(), by.Name
		res, err := tx.NewUpdate().Model(row).Where("name = ? AND version = ?", row.Name, in.Body.Version).Exec(ctx)
		if err != nil {
			return err
		}
		if n, err := res.RowsAffected(); err != nil {
			return err
		} else if n == 0 {
			return fmt.Errorf("workspace %q has version %d, not %d: %w", row.Name, before.Version, in.Body.Version, resource.ErrVersionConflict)
		}
		after = workspaceOf(row, api.Admin)
		return audit.Record(ctx, tx, by, audit.Entry{Workspace: row.Name, Action: "update", Kind: "Workspace", Name: row.Name}, before, after)
	})
	if err != nil {
		return nil, fmt.Errorf("cannot update workspace: %w", err)
	}
	return &workspaceOut{Body: after}, nil
}

func (a *Access) deleteWorkspace(ctx context.Context, in *api.InWorkspace) (*struct{}, error) {
	if in.Workspace == DefaultWorkspace {
		return nil, api.Fail(http.StatusConflict, "in_use", "the default workspace stays")
	}
	if _, err := readWorkspace(ctx, a.DB, in.Workspace); err != nil {
		return nil, err
	}
	objects, err := a.Resources.List(ctx, "", in.Workspace)
	if err != nil {
		return nil, err
	}
	if len(objects) > 0 {
		refused := &resource.InUseError{}
		for _, o := range objects[:min(len(objects), resource.MaxReferrers)] {
			refused.Referrers = append(refused.Referrers, resource.Ref{Field: "workspace", Kind: o.Kind, Name: o.Metadata.Name})
		}
		return nil, refused
	}
	err = a.DB.RunInTx(ctx, nil, func(ctx context.Context, tx bun.Tx) error {
		row, err := readWorkspace(ctx, tx, in.Workspace)
		if err != nil {
			return err
		}
		for _, model := range []any{(*membership)(nil), (*tokenRow)(nil)} {
			if _, err := tx.NewDelete().Model(model).Where("workspace = ?", in.Workspace).Exec(ctx); err != nil {
				return err
			}
		}
		if _, err := tx.NewDelete().Model(row).WherePK().Exec(ctx); err != nil {
			return err
		}
		return audit.Record(ctx, tx, api.Actor(ctx), audit.Entry{Workspace: row.Name, Action: "delete", Kind: "Workspace", Name: row.Name}, workspaceOf(row, api.Admin), nil)
	})
	if err != nil {
		return nil, fmt.Errorf("cannot delete workspace: %w", err)
	}
	return nil, nil
}
