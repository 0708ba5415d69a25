package alarm

import (
	"context"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/pharos-stack/pharos/internal/alarmrule"
	"github.com/pharos-stack/pharos/internal/channel"
	"github.com/pharos-stack/pharos/internal/recipient"
	"github.com/pharos-stack/pharos/internal/resource"
	"github.com/pharos-stack/pharos/internal/silence"
)

// directory is who can be told in a workspace. Names are in lower case, for
// resources find each other that way.
type directory struct {
	channels      map[string]namedChannel
	contacts      map[string]namedContact
	groups        map[string]recipient.Group
	duties        map[string]recipient.OnCall
	subscriptions []subscription
	silences      []namedSilence
	folders       map[string]string // folder → the one it stands in
	monitors      map[string]string // monitor → its folder
}

type namedChannel struct {
	name string
	channel.Spec
}

type namedContact struct {
	name string
	recipient.Contact
}

type subscription struct {
	id, name string
	recipient.Subscription
}

type namedSilence struct {
	name string
	silence.Spec
}

// silencedBy names the silence that is in force for an object of a rule; empty: none.
func (d *directory) silencedBy(r *rule, labels map[string]string, at time.Time) string {
	for _, s := range d.silences {
		if (s.Rule == "" || strings.EqualFold(s.Rule, r.name)) && (s.Monitor == "" || d.watches(r, "monitor", s.Monitor)) &&
			(s.Folder == "" || d.watches(r, "folder", s.Folder)) && s.Covers(at, labels) {
			return s.name
		}
	}
	return ""
}

// loadDirectories reads who can be told, by workspace.
func (a *Alarm) loadDirectories(ctx context.Context) (map[string]*directory, error) {
	all := map[string]*directory{}
	at := func(o resource.Object) *directory {
		d := all[o.Metadata.Workspace]
		if d == nil {
			d = &directory{channels: map[string]namedChannel{}, contacts: map[string]namedContact{}, groups: map[string]recipient.Group{},
				duties: map[string]recipient.OnCall{}, folders: map[string]string{}, monitors: map[string]string{}}
			all[o.Metadata.Workspace] = d
		}
		return d
	}
	for kind, read := range map[string]func(o resource.Object, d *directory, name string) error{
		resource.KindChannel: func(o resource.Object, d *directory, name string) error {
			spec, err := resource.SpecOf[channel.Spec](o)
			d.channels[name] = namedChannel{o.Metadata.Name, spec.WithDefaults()}
			return err
		},
		resource.KindContact: func(o resource.Object, d *directory, name string) error {
			spec, err := resource.SpecOf[recipient.Contact](o)
			d.contacts[name] = namedContact{o.Metadata.Name, spec}
			return err
		},
		resource.KindGroup: func(o resource.Object, d *directory, name string) (err error) {
			d.groups[name], err = resource.SpecOf[recipient.Group](o)
			return err
		},
		resource.KindOnCall: func(o resource.Object, d *directory, name string) error {
			spec, err := resource.SpecOf[recipient.OnCall](o)
			d.duties[name] = spec.WithDefaults()
			return err
		},
		resource.KindSubscription: func(o resource.Object, d *directory, name string) error {
			spec, err := resource.SpecOf[recipient.Subscription](o)
			d.subscriptions = append(d.subscriptions, subscription{o.Metadata.ID, o.Metadata.Name, spec})
			return err
		},
		resource.KindSilence: func(o resource.Object, d *directory, name string) error {
			spec, err := resource.SpecOf[silence.Spec](o)
			d.silences = append(d.silences, namedSilence{o.Metadata.Name, spec})
			return err
		},
		resource.KindFolder: func(o resource.Object, d *directory, name string) error {
			spec, err := resource.SpecOf[resource.FolderSpec](o)
			d.folders[name] = strings.ToLower(spec.Parent)
			return err
		},
		resource.KindLogMonitor: func(o resource.Object, d *directory, name string) error {
			d.monitors[name] = strings.ToLower(o.Metadata.Folder)
			return nil
		},
	} {
		objects, err := a.o.Resources.List(ctx, kind, "")
		if err != nil {
			return nil, err
		}
		for _, o := range objects {
			if err := read(o, at(o), strings.ToLower(o.Metadata.Name)); err != nil {
				a.o.Logger.Error("cannot read who is told", "kind", kind, "name", o.Metadata.Name, "err", err)
			}
		}
	}
	return all, nil
}

// covers reports whether a subscription is about a rule.
func (d *directory) covers(s subscription, r *rule) bool {
	scope, name := s.Scope()
	switch scope {
	case "workspace":
		return true
	case "rule":
		return strings.EqualFold(r.name, name)
	}
	return d.watches(r, scope, name)
}

// watches reports whether a rule looks at a monitor, or at one in a folder or below it.
func (d *directory) watches(r *rule, scope, name string) bool {
	of := func(monitor string) bool {
		if scope == "monitor" {
			return strings.EqualFold(monitor, name)
		}
		folder := d.monitors[strings.ToLower(monitor)]
		for range resource.MaxFolderDepth {
			if folder == "" {
				return false
			}
			if strings.EqualFold(folder, name) {
				return true
			}
			folder = d.folders[folder]
		}
		return false
	}
	return slices.ContainsFunc(r.spec.Conditions, func(c alarmrule.Condition) bool { return c.Monitor != "" && of(c.Monitor) })
}

// members of a subscriber at a moment: contacts and channels by name.
func (d *directory) members(s subscription, duty func(recipient.OnCall) string) (contacts, channels []string) {
	field, name := s.Subscriber()
	switch field {
	case "contact":
		return []string{name}, nil
	case "channel":
		return nil, []string{name}
	case "oncall":
		if who := duty(d.duties[strings.ToLower(name)]); who != "" {
			return []string{who}, nil
		}
	case "group":
		g := d.groups[strings.ToLower(name)]
		return g.Contacts, g.Channels
	}
	return nil, nil
}

// forContacts are the channels that tell people, in their order.
func (d *directory) forContacts() []namedChannel {
	var out []namedChannel
	for _, key := range slices.Sorted(maps.Keys(d.channels)) {
		if ch := d.channels[key]; ch.ForContacts && !ch.Disabled {
			out = append(out, ch)
		}
	}
	return out
}

func (d *directory) contactOf(user string) (namedContact, bool) {
	for _, c := range d.contacts {
		if c.User == user {
			return c, true
		}
	}
	return namedContact{}, false
}
