package resource

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/uptrace/bun"

	"github.com/pharos-stack/pharos/internal/audit"
	"github.com/pharos-stack/pharos/internal/fielderr"
)

// Outcome is what Apply did with a resource.
type Outcome string

// The outcomes.
const (
	Created   Outcome = "created"
	Updated   Outcome = "updated"
	Unchanged Outcome = "unchanged"
)

// Applied is the outcome for one resource.
type Applied struct {
	Kind    string  `json:"kind"`
	Name    string  `json:"name"`
	Outcome Outcome `json:"outcome" enum:"created,updated,unchanged"`
	Version int64   `json:"version"`
}

// errDryRun ends the transaction of a dry run.
var errDryRun = errors.New("dry run")

// Apply makes a workspace hold the objects: all of them, or none if one is
// bad; then every bad field is in the returned fielderr.Errors with paths
// below items[i]. Objects may refer to others of the same call in any order.
// An object's version, if given, must be the stored one. The results are in
// the order of objects. A dry run does everything but keep it.
func (s *Store) Apply(ctx context.Context, by audit.Actor, workspace string, objects []Object, dryRun bool) ([]Applied, error) {
	results := make([]Applied, len(objects))
	order := s.ordered(objects)

	err := s.change(ctx, func(ctx context.Context, tx bun.Tx) error {
		var es fielderr.Errors
		seen := map[[2]string]bool{}
		for _, i := range order {
			o := objects[i]
			if o.Metadata.Workspace != "" && o.Metadata.Workspace != workspace {
				es.Add(fmt.Sprintf("items[%d].metadata.workspace", i), "bad_workspace", "is %q; this call applies to %q", o.Metadata.Workspace, workspace)
				continue
			}
			o.Metadata.Workspace = workspace
			key := [2]string{o.Kind, nameKey(o.Metadata.Name)}
			if seen[key] {
				es.Add(fmt.Sprintf("items[%d].metadata.name", i), "duplicate_name", "%s %q is given twice", o.Kind, o.Metadata.Name)
				continue
			}
			seen[key] = true
			var err error
			results[i], err = s.applyOne(ctx, tx, by, o)
			var bad fielderr.Errors
			if errors.As(err, &bad) {
				for _, e := range bad {
					e.Field = fmt.Sprintf("items[%d].%s", i, e.Field)
					es = append(es, e)
				}
			} else if err != nil {
				return err
			}
		}
		if err := es.Err(); err != nil {
			return err
		}
		if dryRun {
			return errDryRun
		}
		return nil
	})
	if errors.Is(err, errDryRun) {
		err = nil
	}
	if err != nil {
		return nil, err
	}
	return results, nil
}

// ordered returns the order to apply objects in: each after those it refers to.
// Kinds are in that order already; within a kind, folders stand in folders.
func (s *Store) ordered(objects []Object) []int {
	index := map[[2]string]int{}
	order := make([]int, len(objects))
	for i, o := range objects {
		order[i] = i
		index[[2]string{o.Kind, nameKey(o.Metadata.Name)}] = i
	}
	rank := func(i int) int {
		return slices.IndexFunc(s.kinds, func(k Kind) bool { return k.Name == objects[i].Kind })
	}
	slices.SortStableFunc(order, func(a, b int) int { return rank(a) - rank(b) })
	placed := make([]bool, len(objects))
	sorted := make([]int, 0, len(objects))
	var put func(i int)
	put = func(i int) {
		if placed[i] {
			return
		}
		placed[i] = true // before its references: a ring ends here and is refused later
		if k, ok := s.kinds.Find(objects[i].Kind); ok && k.Refs != nil {
			// A spec that can't be read is reported when it is applied.
			if spec, err := k.prepare(objects[i].Spec); err == nil {
				for _, ref := range k.Refs(spec) {
					if j, ok := index[[2]string{ref.Kind, nameKey(ref.Name)}]; ok && ref.Kind == k.Name {
						put(j)
					}
				}
			}
		}
		sorted = append(sorted, i)
	}
	for _, i := range order {
		put(i)
	}
	return sorted
}

func (s *Store) applyOne(ctx context.Context, tx bun.Tx, by audit.Actor, o Object) (Applied, error) {
	result := Applied{Kind: o.Kind, Name: o.Metadata.Name, Outcome: Created}
	old, err := find(ctx, tx, o.Kind, o.Metadata.Workspace, o.Metadata.Name)
	switch {
	case errors.Is(err, ErrNotFound):
		old = nil
	case err != nil:
		return result, err
	default:
		if v := o.Metadata.Version; v != 0 && v != old.Version {
			return result, fmt.Errorf("%s %q has version %d, not %d: %w", o.Kind, old.Name, old.Version, v, ErrVersionConflict)
		}
		r, same, err := s.same(ctx, tx, old, o)
		if err != nil {
			return result, err
		}
		if same {
			result.Outcome, result.Version = Unchanged, old.Version
			if r.Folder != old.Folder {
				result.Outcome = Updated
			}
			return result, s.move(ctx, tx, by, old, r.Folder)
		}
		result.Outcome = Updated
	}
	stored, err := s.write(ctx, tx, by, old, o)
	result.Version = stored.Metadata.Version
	return result, err
}

// same returns o as it would be stored, and whether that would change nothing
// but perhaps its place.
func (s *Store) same(ctx context.Context, tx bun.Tx, old *row, o Object) (*row, bool, error) {
	_, r, taken, err := s.prepareRow(ctx, tx, old, o)
	if err != nil {
		return nil, false, err
	}
	kept, err := openSecrets(s.box, old.Sealed, old.ID)
	if err != nil {
		return nil, false, fmt.Errorf("cannot read secrets of %s %q: %w", old.Kind, old.Name, err)
	}
	a, errA := json.Marshal(kept)
	b, errB := json.Marshal(taken)
	return r, r.Spec == old.Spec && string(a) == string(b), errors.Join(errA, errB)
}
