package resource

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/uptrace/bun"

	"github.com/pharos-stack/pharos/internal/audit"
	"github.com/pharos-stack/pharos/internal/fielderr"
)

// place notes in which folder a resource stands; empty for none.
func (s *Store) place(ctx context.Context, tx bun.Tx, id, folder string) error {
	var err error
	if folder == "" {
		_, err = tx.NewDelete().Model((*place)(nil)).Where("resource_id = ?", id).Exec(ctx)
	} else {
		_, err = tx.NewInsert().Model(&place{ResourceID: id, Folder: folder}).On("CONFLICT (resource_id) DO UPDATE").Set("folder = EXCLUDED.folder").Exec(ctx)
	}
	if err != nil {
		return fmt.Errorf("cannot place resource %s in folder %q: %w", id, folder, err)
	}
	return nil
}

// folderFor returns the folder that m asks for, or the one where the resource
// stands if it asks for none.
func (s *Store) folderFor(ctx context.Context, db bun.IDB, k Kind, m Metadata, old string) (string, error) {
	switch {
	case m.Folder == "":
		return old, nil
	case !k.Filed:
		return "", fielderr.Errors{{Field: "metadata.folder", Code: "not_allowed", Message: fmt.Sprintf("a %s does not stand in folders; leave it out", k.Name)}}
	case m.Folder == TopFolder:
		return "", nil
	}
	r, err := find(ctx, db, KindFolder, m.Workspace, m.Folder)
	if errors.Is(err, ErrNotFound) {
		return "", fielderr.Errors{{Field: "metadata.folder", Code: "not_found", Message: fmt.Sprintf("there is no Folder %q in this workspace; / is the top", m.Folder)}}
	} else if err != nil {
		return "", err
	}
	return r.Name, nil
}

// others returns the specs of all resources of a kind in a workspace by name.
func (s *Store) others(ctx context.Context, db bun.IDB, k Kind, workspace string) (map[string]any, error) {
	objects, err := list(ctx, db, k.Name, workspace)
	if err != nil {
		return nil, err
	}
	specs := make(map[string]any, len(objects))
	for _, o := range objects {
		if specs[o.Metadata.Name], err = k.prepare(o.Spec); err != nil {
			return nil, fmt.Errorf("cannot read spec of %s %q: %w", o.Kind, o.Metadata.Name, err)
		}
	}
	return specs, nil
}

// Move puts resources into a folder, TopFolder for none: all of them, or none
// if one can't. Their specs and versions stay as they are, so that nothing
// else takes notice.
func (s *Store) Move(ctx context.Context, by audit.Actor, kind, workspace string, names []string, folder string) error {
	k, ok := s.kinds.Find(kind)
	if !ok || !k.Filed {
		return fmt.Errorf("cannot move: a %s does not stand in folders", kind)
	}
	return s.change(ctx, func(ctx context.Context, tx bun.Tx) error {
		target, err := s.folderFor(ctx, tx, k, Metadata{Workspace: workspace, Folder: folder}, "")
		if err != nil {
			return err
		}
		for _, name := range names {
			r, err := find(ctx, tx, kind, workspace, name)
			if err != nil {
				return err
			}
			if err := s.move(ctx, tx, by, r, target); err != nil {
				return err
			}
		}
		return nil
	})
}

func (s *Store) move(ctx context.Context, tx bun.Tx, by audit.Actor, r *row, target string) error {
	if r.Folder == target {
		return nil
	}
	if err := s.place(ctx, tx, r.ID, target); err != nil {
		return err
	}
	at := func(folder string) map[string]string { return map[string]string{"folder": folder} }
	return audit.Record(ctx, tx, by, audit.Entry{Workspace: r.Workspace, Action: "move", Kind: r.Kind, Name: r.Name, ObjectID: r.ID}, at(r.Folder), at(target))
}

// MergeFolder moves all that stands in a folder, resources and folders, into
// another one, TopFolder for none, and then deletes the empty folder if asked
// to. Nothing is done when something does not fit, such as two folders of one
// title. It returns how many resources and folders were moved.
func (s *Store) MergeFolder(ctx context.Context, by audit.Actor, workspace, name, into string, thenDelete bool) (moved int, err error) {
	err = s.change(ctx, func(ctx context.Context, tx bun.Tx) error {
		from, err := find(ctx, tx, KindFolder, workspace, name)
		if err != nil {
			return err
		}
		target := ""
		if into != TopFolder {
			r, err := find(ctx, tx, KindFolder, workspace, into)
			if errors.Is(err, ErrNotFound) {
				return fielderr.Errors{{Field: "into", Code: "not_found", Message: fmt.Sprintf("there is no Folder %q in this workspace; / is the top", into)}}
			} else if err != nil {
				return err
			}
			target = r.Name
		}
		if within, err := s.within(ctx, tx, workspace, target, from.Name); err != nil {
			return err
		} else if within {
			return fielderr.Errors{{Field: "into", Code: "folder_ring", Message: fmt.Sprintf("%q is the folder itself or within it; choose another one", into)}}
		}
		all, err := list(ctx, tx, "", workspace)
		if err != nil {
			return err
		}
		for _, o := range all {
			switch {
			case nameKey(o.Metadata.Folder) == from.NameKey:
				r, err := find(ctx, tx, o.Kind, workspace, o.Metadata.Name)
				if err != nil {
					return err
				}
				if err := s.move(ctx, tx, by, r, target); err != nil {
					return err
				}
				moved++
			case o.Kind == KindFolder:
				spec, err := SpecOf[FolderSpec](o)
				if err != nil {
					return err
				}
				if nameKey(spec.Parent) != from.NameKey {
					continue
				}
				spec.Parent = target
				if err := s.rewrite(ctx, tx, by, o, spec); err != nil {
					return err
				}
				moved++
			}
		}
		if !thenDelete {
			return nil
		}
		if err := s.release(ctx, tx, by, from); err != nil {
			return err
		}
		if _, err := tx.NewDelete().Model(from).WherePK().Exec(ctx); err != nil {
			return fmt.Errorf("cannot delete folder %q: %w", name, err)
		}
		return audit.Record(ctx, tx, by, audit.Entry{Workspace: workspace, Action: "delete", Kind: KindFolder, Name: from.Name, ObjectID: from.ID}, json.RawMessage(from.Spec), nil)
	})
	return moved, err
}

// rewrite stores another spec of a resource.
func (s *Store) rewrite(ctx context.Context, tx bun.Tx, by audit.Actor, o Object, spec any) error {
	old, err := find(ctx, tx, o.Kind, o.Metadata.Workspace, o.Metadata.Name)
	if err != nil {
		return err
	}
	if o.Spec, err = json.Marshal(spec); err != nil {
		return fmt.Errorf("cannot write spec of %s %q: %w", o.Kind, o.Metadata.Name, err)
	}
	o.Metadata.Folder = ""
	_, err = s.write(ctx, tx, by, old, o)
	return err
}

// within reports whether folder is top or stands below it.
func (s *Store) within(ctx context.Context, db bun.IDB, workspace, folder, top string) (bool, error) {
	for folder != "" {
		if nameKey(folder) == nameKey(top) {
			return true, nil
		}
		r, err := find(ctx, db, KindFolder, workspace, folder)
		if err != nil {
			return false, err
		}
		spec, err := SpecOf[FolderSpec](r.object())
		if err != nil {
			return false, err
		}
		folder = spec.Parent
	}
	return false, nil
}
