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
	order := make([]int, len(objects))
	for i := range order {
		order[i] = i
	}
	rank := func(i int) int {
		return slices.IndexFunc(s.kinds, func(k Kind) bool { return k.Name == objects[i].Kind })
	}
	slices.SortStableFunc(order, func(a, b int) int { return rank(a) - rank(b) })

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
		same, err := s.same(ctx, tx, old, o)
		if err != nil {
			return result, err
		}
		if same {
			result.Outcome, result.Version = Unchanged, old.Version
			return result, nil
		}
		result.Outcome = Updated
	}
	stored, err := s.write(ctx, tx, by, old, o)
	result.Version = stored.Metadata.Version
	return result, err
}

// same reports whether storing o would change nothing.
func (s *Store) same(ctx context.Context, tx bun.Tx, old *row, o Object) (bool, error) {
	_, r, taken, err := s.prepareRow(ctx, tx, old, o)
	if err != nil {
		return false, err
	}
	kept, err := openSecrets(s.box, old.Sealed, old.ID)
	if err != nil {
		return false, fmt.Errorf("cannot read secrets of %s %q: %w", old.Kind, old.Name, err)
	}
	a, errA := json.Marshal(kept)
	b, errB := json.Marshal(taken)
	return r.Spec == old.Spec && string(a) == string(b), errors.Join(errA, errB)
}
