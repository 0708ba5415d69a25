package resource

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/uptrace/bun"

	"github.com/pharos-stack/pharos/internal/audit"
	"github.com/pharos-stack/pharos/internal/recipient"
	"github.com/pharos-stack/pharos/internal/silence"
)

// The kinds that say who is told, and when nobody is.
const (
	KindContact      = "Contact"
	KindGroup        = "NotificationGroup"
	KindOnCall       = "OnCall"
	KindSubscription = "Subscription"
	KindSilence      = "Silence"
)

// Release says what becomes of a resource when one it refers to is deleted.
type Release int

// The releases.
const (
	Refuse Release = iota // the other one can't be deleted
	Keep                  // it goes on without the other one
	Drop                  // it is deleted, too
)

func receiverKinds() []Kind {
	contact := NewKind[recipient.Contact](KindContact, "con_")
	contact.Names, contact.NameRule, contact.NameCode = recipient.ContactNames, recipient.ContactNameRule, "contact_name_invalid"
	contact.Among = among(recipient.CheckContact)
	group := NewKind[recipient.Group](KindGroup, "grp_")
	group.Refs = func(spec any) []Ref {
		g := spec.(recipient.Group)
		return append(refsTo(KindContact, "spec.contacts", g.Contacts), refsTo(KindChannel, "spec.channels", g.Channels)...)
	}
	group.Release = func(spec any, gone Ref) (any, Release) {
		if gone.Kind != KindContact {
			return nil, Refuse
		}
		return spec.(recipient.Group).Without(gone.Name), Keep
	}
	// Who has duty would change without a word if a contact fell out of a rotation: there it is refused.
	duty := NewKind[recipient.OnCall](KindOnCall, "onc_")
	duty.Refs = func(spec any) []Ref {
		o := spec.(recipient.OnCall)
		refs := refsTo(KindContact, "spec.contacts", o.Contacts)
		for i, v := range o.Overrides {
			refs = append(refs, Ref{Field: fmt.Sprintf("spec.overrides[%d].contact", i), Kind: KindContact, Name: v.Contact})
		}
		return refs
	}
	subscription := NewKind[recipient.Subscription](KindSubscription, "sub_")
	subscription.Among = among(recipient.CheckSubscription)
	subscription.Refs = func(spec any) []Ref {
		kinds := map[string]string{"contact": KindContact, "group": KindGroup, "oncall": KindOnCall, "channel": KindChannel,
			"folder": KindFolder, "monitor": KindLogMonitor, "rule": KindAlarmRule}
		s := spec.(recipient.Subscription)
		var refs []Ref
		for _, of := range []func() (string, string){s.Subscriber, s.Scope} {
			if field, name := of(); name != "" {
				refs = append(refs, Ref{Field: "spec." + field, Kind: kinds[field], Name: name})
			}
		}
		return refs
	}
	subscription.Release = func(any, Ref) (any, Release) { return nil, Drop }
	silenced := NewKind[silence.Spec](KindSilence, "sil_")
	silenced.Refs = func(spec any) []Ref {
		s := spec.(silence.Spec)
		var refs []Ref
		for _, r := range []Ref{{"spec.folder", KindFolder, s.Folder}, {"spec.monitor", KindLogMonitor, s.Monitor}, {"spec.rule", KindAlarmRule, s.Rule}} {
			if r.Name != "" {
				refs = append(refs, r)
			}
		}
		return refs
	}
	silenced.Release = func(any, Ref) (any, Release) { return nil, Drop }
	return []Kind{contact, group, duty, subscription, silenced}
}

func refsTo(kind, at string, names []string) []Ref {
	var refs []Ref
	for i, n := range names {
		refs = append(refs, Ref{Field: fmt.Sprintf("%s[%d]", at, i), Kind: kind, Name: n})
	}
	return refs
}

func among[T any](check func(name string, spec T, others map[string]T) error) func(string, any, map[string]any) error {
	return func(name string, spec any, others map[string]any) error {
		typed := make(map[string]T, len(others))
		for n, o := range others {
			typed[n] = o.(T)
		}
		return check(name, spec.(T), typed)
	}
}

// release takes a resource that is being deleted out of those that can do
// without it, and deletes those that mean nothing without it.
func (s *Store) release(ctx context.Context, tx bun.Tx, by audit.Actor, old *row) error {
	all, err := list(ctx, tx, "", old.Workspace)
	if err != nil {
		return err
	}
	for _, o := range all {
		k, ok := s.kinds.Find(o.Kind)
		if !ok || k.Release == nil {
			continue
		}
		spec, err := k.prepare(o.Spec)
		if err != nil {
			return fmt.Errorf("cannot read spec of %s %q: %w", o.Kind, o.Metadata.Name, err)
		}
		for _, ref := range k.Refs(spec) {
			if ref.Kind != old.Kind || nameKey(ref.Name) != old.NameKey {
				continue
			}
			next, how := k.Release(spec, ref)
			switch how {
			case Keep:
				err = s.rewrite(ctx, tx, by, o, next)
			case Drop:
				if _, err = tx.NewDelete().Model((*row)(nil)).Where("id = ?", o.Metadata.ID).Exec(ctx); err == nil {
					err = audit.Record(ctx, tx, by, audit.Entry{Workspace: o.Metadata.Workspace, Action: "delete", Kind: o.Kind, Name: o.Metadata.Name, ObjectID: o.Metadata.ID},
						json.RawMessage(o.Spec), nil)
				}
			case Refuse:
				continue
			}
			if err != nil {
				return fmt.Errorf("cannot release %s %q from %s %q: %w", o.Kind, o.Metadata.Name, old.Kind, old.Name, err)
			}
			break
		}
	}
	return nil
}
