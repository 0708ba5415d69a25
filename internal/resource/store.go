package resource

import (
	"cmp"
	"context"
	"crypto/rand"
	"database/sql"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/uptrace/bun"

	"github.com/pharos-stack/pharos/internal/audit"
	"github.com/pharos-stack/pharos/internal/fielderr"
	"github.com/pharos-stack/pharos/internal/meta"
	"github.com/pharos-stack/pharos/internal/secret"
)

// Topic is announced through meta.Changed with every change of a resource.
const Topic = "resources"

// The errors of Store beside fielderr.Errors and InUseError.
var (
	ErrNotFound        = errors.New("not found")
	ErrNameTaken       = errors.New("name taken")
	ErrVersionConflict = errors.New("version conflict")
)

// InUseError refuses a deletion.
type InUseError struct {
	// Kind of what is in use; a Folder is in use by what stands in it.
	Kind string
	// Referrers are at most MaxReferrers of the resources that need it.
	Referrers []Ref
}

// MaxReferrers is how many referrers an InUseError names.
const MaxReferrers = 50

func (e *InUseError) Error() string {
	return fmt.Sprintf("it is used by %s %q and possibly more", e.Referrers[0].Kind, e.Referrers[0].Name)
}

// row is a resource in the database.
type row struct {
	bun.BaseModel `bun:"table:resources"`
	ID            string `bun:",pk"`
	Kind          string `bun:",notnull"`
	Workspace     string `bun:",notnull"`
	Name          string `bun:",notnull"`
	NameKey       string `bun:",notnull"`
	Version       int64  `bun:",notnull"`
	// Spec is JSON without secrets; Sealed holds them.
	Spec      string `bun:",notnull"`
	Sealed    []byte `bun:",notnull"`
	CreatedMs int64  `bun:",notnull"`
	CreatedBy string `bun:",notnull"`
	UpdatedMs int64  `bun:",notnull"`
	UpdatedBy string `bun:",notnull"`
	// Folder comes from the table of places.
	Folder string `bun:",scanonly"`
}

// place is where a resource stands. It is apart from the resource, so that
// moving is no change of it.
type place struct {
	bun.BaseModel `bun:"table:resource_places"`
	ResourceID    string `bun:",pk"`
	// Folder is the folder's name as it was created.
	Folder string `bun:",notnull"`
}

// withPlace makes a query of resources read their folders.
func withPlace(q *bun.SelectQuery) *bun.SelectQuery {
	return q.ColumnExpr("?TableColumns").ColumnExpr("COALESCE(p.folder, '') AS folder").Join("LEFT JOIN resource_places AS p ON p.resource_id = ?TableAlias.id")
}

// Migrations of the table of resources.
var Migrations = []meta.Migration{
	meta.CreateTables("resources", (*row)(nil)),
	{Name: "unique names", Up: func(ctx context.Context, db bun.IDB) error {
		_, err := db.ExecContext(ctx, "CREATE UNIQUE INDEX resources_name ON resources (workspace, kind, name_key)")
		return err
	}},
	meta.CreateTables("places of resources", (*place)(nil)),
}

// Store keeps resources. Its methods can be called from several goroutines and
// from several processes on one database.
type Store struct {
	db    *bun.DB
	box   *secret.Box
	kinds Kinds
}

// NewStore returns a store of the given kinds; Apply works in their order, so
// a kind comes after those it refers to. The tables Migrations and
// audit.Migrations must be there: see Migrate.
func NewStore(db *bun.DB, box *secret.Box, kinds ...Kind) *Store {
	return &Store{db: db, box: box, kinds: kinds}
}

// Migrate brings the tables that the Store needs up to date.
func Migrate(ctx context.Context, db *bun.DB) error {
	if err := meta.Migrate(ctx, db, "audit", audit.Migrations); err != nil {
		return err
	}
	return meta.Migrate(ctx, db, "resource", Migrations)
}

// Kinds returns the kinds of the store.
func (s *Store) Kinds() Kinds { return s.kinds }

func (r *row) object() Object {
	return Object{APIVersion: APIVersion, Kind: r.Kind, Spec: json.RawMessage(r.Spec), Metadata: Metadata{
		ID: r.ID, Name: r.Name, Workspace: r.Workspace, Folder: r.Folder, Version: r.Version, CreatedBy: r.CreatedBy, UpdatedBy: r.UpdatedBy,
		CreatedAt: time.UnixMilli(r.CreatedMs).UTC(), UpdatedAt: time.UnixMilli(r.UpdatedMs).UTC(),
	}}
}

// List returns the resources of a kind and a workspace by name. An empty kind
// or workspace stands for all. Secrets are left out.
func (s *Store) List(ctx context.Context, kind, workspace string) ([]Object, error) {
	return list(ctx, s.db, kind, workspace)
}

func list(ctx context.Context, db bun.IDB, kind, workspace string) ([]Object, error) {
	var rows []row
	q := withPlace(db.NewSelect().Model(&rows)).Order("workspace", "kind", "name_key")
	if kind != "" {
		q = q.Where("kind = ?", kind)
	}
	if workspace != "" {
		q = q.Where("workspace = ?", workspace)
	}
	if err := q.Scan(ctx); err != nil {
		return nil, fmt.Errorf("cannot list %s resources: %w", kind, err)
	}
	objects := make([]Object, len(rows))
	for i := range rows {
		objects[i] = rows[i].object()
	}
	return objects, nil
}

func find(ctx context.Context, db bun.IDB, kind, workspace, name string) (*row, error) {
	r := new(row)
	err := withPlace(db.NewSelect().Model(r)).Where("kind = ? AND workspace = ? AND name_key = ?", kind, workspace, nameKey(name)).Scan(ctx)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, fmt.Errorf("%s %q: %w", kind, name, ErrNotFound)
	}
	if err != nil {
		return nil, fmt.Errorf("cannot read %s %q: %w", kind, name, err)
	}
	return r, nil
}

// Get returns a resource without its secrets, or an error that is ErrNotFound.
func (s *Store) Get(ctx context.Context, kind, workspace, name string) (Object, error) {
	r, err := find(ctx, s.db, kind, workspace, name)
	if err != nil {
		return Object{}, err
	}
	return r.object(), nil
}

// SecretPaths returns which secret fields of a resource have a value.
func (s *Store) SecretPaths(ctx context.Context, kind, workspace, name string) (map[string]bool, error) {
	r, err := find(ctx, s.db, kind, workspace, name)
	if err != nil {
		return nil, err
	}
	kept, err := openSecrets(s.box, r.Sealed, r.ID)
	if err != nil {
		return nil, fmt.Errorf("cannot read secrets of %s %q: %w", kind, name, err)
	}
	paths := map[string]bool{}
	for path := range kept {
		paths[path] = true
	}
	return paths, nil
}

// Reveal returns a resource with its secrets. Only who sends notices may use
// it; what it returns must not be shown, logged or stored.
func (s *Store) Reveal(ctx context.Context, kind, workspace, name string) (Object, error) {
	r, err := find(ctx, s.db, kind, workspace, name)
	if err != nil {
		return Object{}, err
	}
	k, ok := s.kinds.Find(kind)
	if !ok {
		return Object{}, fmt.Errorf("cannot reveal %q: kind %s is not known", name, kind)
	}
	kept, err := openSecrets(s.box, r.Sealed, r.ID)
	if err != nil {
		return Object{}, fmt.Errorf("cannot reveal %s %q: %w", kind, name, err)
	}
	spec, err := k.prepare(json.RawMessage(r.Spec))
	if err != nil {
		return Object{}, fmt.Errorf("cannot read spec of %s %q: %w", kind, name, err)
	}
	o := r.object()
	if o.Spec, err = json.Marshal(fillSecrets(spec, kept)); err != nil {
		return Object{}, fmt.Errorf("cannot reveal %s %q: %w", kind, name, err)
	}
	return o, nil
}

// Create adds a resource. It returns what was stored, without secrets.
func (s *Store) Create(ctx context.Context, by audit.Actor, o Object) (Object, error) {
	var out Object
	err := s.change(ctx, func(ctx context.Context, tx bun.Tx) error {
		if _, err := find(ctx, tx, o.Kind, o.Metadata.Workspace, o.Metadata.Name); err == nil {
			return fmt.Errorf("%s %q: %w", o.Kind, o.Metadata.Name, ErrNameTaken)
		} else if !errors.Is(err, ErrNotFound) {
			return err
		}
		var err error
		out, err = s.write(ctx, tx, by, nil, o)
		return err
	})
	return out, err
}

// Update replaces a resource's spec. The object's version must be the stored
// one. Secrets that the spec leaves out are kept.
func (s *Store) Update(ctx context.Context, by audit.Actor, o Object) (Object, error) {
	var out Object
	err := s.change(ctx, func(ctx context.Context, tx bun.Tx) error {
		old, err := find(ctx, tx, o.Kind, o.Metadata.Workspace, o.Metadata.Name)
		if err != nil {
			return err
		}
		if old.Version != o.Metadata.Version {
			return fmt.Errorf("%s %q has version %d, not %d: %w", o.Kind, old.Name, old.Version, o.Metadata.Version, ErrVersionConflict)
		}
		out, err = s.write(ctx, tx, by, old, o)
		return err
	})
	return out, err
}

// Delete removes a resource unless another one needs it (InUseError). Version
// 0 removes any version.
func (s *Store) Delete(ctx context.Context, by audit.Actor, kind, workspace, name string, version int64) error {
	return s.change(ctx, func(ctx context.Context, tx bun.Tx) error {
		old, err := find(ctx, tx, kind, workspace, name)
		if err != nil {
			return err
		}
		if version != 0 && old.Version != version {
			return fmt.Errorf("%s %q has version %d, not %d: %w", kind, old.Name, old.Version, version, ErrVersionConflict)
		}
		if err := s.release(ctx, tx, by, old); err != nil {
			return err
		}
		if err := s.refuseInUse(ctx, tx, old); err != nil {
			return err
		}
		if err := s.place(ctx, tx, old.ID, ""); err != nil {
			return err
		}
		if _, err := tx.NewDelete().Model(old).WherePK().Exec(ctx); err != nil {
			return fmt.Errorf("cannot delete %s %q: %w", kind, name, err)
		}
		return audit.Record(ctx, tx, by, audit.Entry{Workspace: workspace, Action: "delete", Kind: kind, Name: old.Name, ObjectID: old.ID},
			json.RawMessage(old.Spec), nil)
	})
}

func (s *Store) refuseInUse(ctx context.Context, tx bun.Tx, old *row) error {
	all, err := list(ctx, tx, "", old.Workspace)
	if err != nil {
		return err
	}
	var referrers []Ref
	for _, o := range all {
		if old.Kind == KindFolder && nameKey(o.Metadata.Folder) == old.NameKey && len(referrers) < MaxReferrers {
			referrers = append(referrers, Ref{Field: "metadata.folder", Kind: o.Kind, Name: o.Metadata.Name})
		}
		k, ok := s.kinds.Find(o.Kind)
		if !ok || k.Refs == nil {
			continue
		}
		spec, err := k.prepare(o.Spec)
		if err != nil {
			return fmt.Errorf("cannot read spec of %s %q: %w", o.Kind, o.Metadata.Name, err)
		}
		for _, ref := range k.Refs(spec) {
			if ref.Kind == old.Kind && nameKey(ref.Name) == old.NameKey && len(referrers) < MaxReferrers {
				referrers = append(referrers, Ref{Field: ref.Field, Kind: o.Kind, Name: o.Metadata.Name})
			}
		}
	}
	if len(referrers) > 0 {
		return &InUseError{Kind: old.Kind, Referrers: referrers}
	}
	return nil
}

// change runs fn in a transaction and announces the change.
func (s *Store) change(ctx context.Context, fn func(context.Context, bun.Tx) error) error {
	return s.db.RunInTx(ctx, nil, func(ctx context.Context, tx bun.Tx) error {
		// Announcing first takes the topic's row: writers pass one after
		// another, so that a reference checked here still holds at the end.
		if err := meta.Changed(ctx, tx, Topic); err != nil {
			return err
		}
		return fn(ctx, tx)
	})
}

// write validates and stores o in place of old, which is nil for a new one.
func (s *Store) write(ctx context.Context, tx bun.Tx, by audit.Actor, old *row, o Object) (Object, error) {
	k, r, kept, err := s.prepareRow(ctx, tx, old, o)
	if err != nil {
		return Object{}, err
	}
	now := time.Now().UnixMilli()
	r.UpdatedMs, r.UpdatedBy, r.Version = now, by.Name, 1
	action, before := "create", any(nil)
	if old != nil {
		action, before = "update", json.RawMessage(old.Spec)
		r.Version, r.CreatedMs, r.CreatedBy = old.Version+1, old.CreatedMs, old.CreatedBy
	} else {
		r.CreatedMs, r.CreatedBy = now, by.Name
	}
	if r.Sealed, err = kept.seal(s.box, r.ID); err != nil {
		return Object{}, fmt.Errorf("cannot seal secrets of %s %q: %w", k.Name, r.Name, err)
	}
	if old != nil {
		_, err = tx.NewUpdate().Model(r).WherePK().Exec(ctx)
	} else {
		_, err = tx.NewInsert().Model(r).Exec(ctx)
	}
	if err != nil {
		return Object{}, fmt.Errorf("cannot store %s %q: %w", k.Name, r.Name, err)
	}
	if err := s.place(ctx, tx, r.ID, r.Folder); err != nil {
		return Object{}, err
	}
	entry := audit.Entry{Workspace: r.Workspace, Action: action, Kind: k.Name, Name: r.Name, ObjectID: r.ID}
	return r.object(), audit.Record(ctx, tx, by, entry, before, json.RawMessage(r.Spec))
}

// prepareRow turns o into a row without its bookkeeping, and its secrets.
func (s *Store) prepareRow(ctx context.Context, tx bun.Tx, old *row, o Object) (Kind, *row, secrets, error) {
	k, ok := s.kinds.Find(o.Kind)
	if !ok {
		return k, nil, nil, fielderr.Errors{{Field: "kind", Code: "bad_kind", Message: fmt.Sprintf("%q is not known; use one of %s", o.Kind, s.kinds.names())}}
	}
	r := &row{Kind: k.Name, Workspace: o.Metadata.Workspace, Name: o.Metadata.Name, NameKey: nameKey(o.Metadata.Name)}
	kept := secrets{}
	if old != nil {
		r.ID, r.Name, r.Folder = old.ID, old.Name, old.Folder
		var err error
		if kept, err = openSecrets(s.box, old.Sealed, old.ID); err != nil {
			return k, nil, nil, fmt.Errorf("cannot read secrets of %s %q: %w", k.Name, old.Name, err)
		}
	} else {
		r.ID = NewID(k.Prefix)
	}
	spec, err := s.validate(ctx, tx, k, o, old, kept)
	if err != nil {
		return k, nil, nil, err
	}
	if r.Folder, err = s.folderFor(ctx, tx, k, o.Metadata, r.Folder); err != nil {
		return k, nil, nil, err
	}
	open, taken := takeSecrets(spec)
	text, err := hideSecrets(open)
	r.Spec = string(text)
	return k, r, taken, err
}

// validate returns o's spec with defaults and kept secrets, or every bad
// field. Old is nil for a new resource.
func (s *Store) validate(ctx context.Context, db bun.IDB, k Kind, o Object, old *row, kept secrets) (any, error) {
	var es fielderr.Errors
	collect := func(err error) error {
		var more fielderr.Errors
		if err != nil && !errors.As(err, &more) {
			return err
		}
		es = append(es, more...)
		return nil
	}
	if !k.Names.MatchString(o.Metadata.Name) {
		es.Add("metadata.name", cmp.Or(k.NameCode, "bad_name"), "%q is not a name; %s", o.Metadata.Name, k.NameRule)
	}
	if err := k.Strict(o.Spec); err != nil {
		return nil, errors.Join(collect(err), es.Err())
	}
	spec, err := k.prepare(o.Spec)
	if err != nil {
		return nil, errors.Join(collect(err), es.Err())
	}
	if old != nil && k.Change != nil {
		before, err := k.prepare(json.RawMessage(old.Spec))
		if err != nil {
			return nil, fmt.Errorf("cannot read spec of %s %q: %w", k.Name, old.Name, err)
		}
		if err := collect(k.Change(before, spec, func(path string) bool { return kept[path] != "" })); err != nil {
			return nil, err
		}
	}
	spec = fillSecrets(spec, kept)
	if err := collect(spec.(interface{ Validate(string) error }).Validate("spec")); err != nil {
		return nil, err
	}
	look := s.lookup(ctx, db, o.Metadata.Workspace)
	if k.Refs != nil {
		for _, ref := range k.Refs(spec) {
			if _, err := look(ref.Kind, ref.Name); errors.Is(err, ErrNotFound) {
				es.Add(ref.Field, "not_found", "there is no %s %q in this workspace", ref.Kind, ref.Name)
			} else if err != nil {
				return nil, err
			}
		}
	}
	if k.Among != nil {
		others, err := s.others(ctx, db, k, o.Metadata.Workspace)
		if err != nil {
			return nil, err
		}
		if err := collect(k.Among(o.Metadata.Name, spec, others)); err != nil {
			return nil, err
		}
	}
	if len(es) == 0 && k.Check != nil {
		if err := collect(k.Check(ctx, look, o.Metadata.Name, spec)); err != nil {
			return nil, err
		}
	}
	return spec, es.Err()
}

func (s *Store) lookup(ctx context.Context, db bun.IDB, workspace string) Lookup {
	return func(kind, name string) (any, error) {
		r, err := find(ctx, db, kind, workspace, name)
		if err != nil {
			return nil, err
		}
		k, ok := s.kinds.Find(kind)
		if !ok {
			return nil, fmt.Errorf("%s %q: %w", kind, name, ErrNotFound)
		}
		return k.prepare(json.RawMessage(r.Spec))
	}
}

// Validate checks o as Create or Update would, without storing it. It returns
// fielderr.Errors.
func (s *Store) Validate(ctx context.Context, o Object) error {
	k, ok := s.kinds.Find(o.Kind)
	if !ok {
		return fmt.Errorf("cannot validate: kind %q is not known", o.Kind)
	}
	kept := secrets{}
	old, err := find(ctx, s.db, o.Kind, o.Metadata.Workspace, o.Metadata.Name)
	if err == nil {
		kept, err = openSecrets(s.box, old.Sealed, old.ID)
	}
	if err != nil && !errors.Is(err, ErrNotFound) {
		return err
	}
	_, err = s.validate(ctx, s.db, k, o, old, kept)
	return err
}

// NewID returns an opaque id with the prefix.
func NewID(prefix string) string {
	var b [12]byte
	rand.Read(b[:]) // never fails
	return prefix + hex.EncodeToString(b[:])
}
