package alarm

import (
	"context"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/pharos-stack/pharos/internal/alarmrule"
	"github.com/pharos-stack/pharos/internal/alarmstate"
	"github.com/pharos-stack/pharos/internal/channel"
	"github.com/pharos-stack/pharos/internal/meta"
	"github.com/pharos-stack/pharos/internal/personal"
	"github.com/pharos-stack/pharos/internal/recipient"
)

// happening is an event that subscriptions may be told of.
type happening struct {
	alarmstate.Event
	acknowledged bool
}

// target is a channel, and the contact whom it tells by an own number or address.
type target struct {
	channel namedChannel
	contact namedContact
	// insteadOf is the contact for whom this one stands in.
	insteadOf string
}

// routing turns the events of a check into deliveries: one for each person,
// channel and event, however many subscriptions lead there.
type routing struct {
	*check
	dir   *directory
	now   time.Time
	out   []alarmstate.Delivery
	first map[[3]string]int  // channel, contact, event type → place in out
	told  map[[3]string]bool // channel, contact, event
	held  []alarmstate.Delivery
}

// queue puts the notices of this check into the outbox: for people one message
// a channel and type for all keys together (ALM-21), for systems one an event.
// What a filter stops is recorded with its name.
func (c *check) queue(ctx context.Context) error {
	if len(c.notices) == 0 && len(c.happened) == 0 && len(c.silenced) == 0 {
		return nil
	}
	c.alarm.mu.Lock()
	dir := c.alarm.directories[c.rule.workspace]
	c.alarm.mu.Unlock()
	if dir == nil {
		dir = &directory{}
	}
	r := routing{check: c, dir: dir, now: c.alarm.o.Now(), first: map[[3]string]int{}, told: map[[3]string]bool{}}
	var channels map[string]channel.Spec
	if len(c.notices) > 0 {
		channels = c.alarm.enabledChannels(ctx, c.rule)
	}
	for _, name := range slices.Sorted(maps.Keys(channels)) {
		ch := namedChannel{name, channels[name]}
		for _, e := range c.notices {
			if ch.Tells(e.Level, !calm(e.Type)) && reaches(e.Classes, ch.Class()) {
				r.tell(e, target{channel: ch}, "", 0)
			}
		}
	}
	for _, e := range c.silenced {
		r.withhold(e, target{}, "", alarmstate.ReasonSilenced)
		if err := c.dueAtOnce(ctx, e); err != nil {
			return err
		}
	}
	for _, h := range c.happened {
		for _, key := range slices.Sorted(maps.Keys(dir.channels)) {
			if ch := dir.channels[key]; ch.Global && !ch.Disabled && reaches(h.Classes, ch.Class()) {
				r.tell(h.Event, target{channel: ch}, "", 0)
			}
		}
		if err := r.subscribers(ctx, h); err != nil {
			return err
		}
	}
	return r.store(ctx)
}

// reaches reports whether a class is told; none means all.
func reaches(told []string, class alarmrule.Class) bool {
	return len(told) == 0 || slices.Contains(told, string(class))
}

func (r *routing) subscribers(ctx context.Context, h happening) error {
	over := calm(h.Type)
	var wereTold map[string]bool
	if over {
		var err error
		if wereTold, err = r.ended(ctx, h.AlertID); err != nil {
			return err
		}
	}
	for _, s := range r.dir.subscriptions {
		if !r.dir.covers(s, r.rule) || over && !wereTold[s.id] {
			continue
		}
		classes, held := h.Classes, 0
		switch {
		case over:
		case !s.Wants(h.Level):
			r.withhold(h.Event, target{}, s.name, alarmstate.ReasonLevel)
			continue
		case h.acknowledged && len(h.Joined) == 0:
			r.withhold(h.Event, target{}, s.name, alarmstate.ReasonAcknowledged)
			continue
		default:
			due, n, err := r.due(ctx, s, h.Event)
			if err != nil {
				return err
			}
			if held = n; !due {
				r.withhold(h.Event, target{}, s.name, alarmstate.ReasonThrottled)
				if len(h.Joined) == 0 {
					continue
				}
				classes = h.Joined // they have not been told yet
			}
		}
		if err := r.members(ctx, h.Event, s, classes, held); err != nil {
			return err
		}
	}
	return nil
}

// members tells who a subscriber stands for.
func (r *routing) members(ctx context.Context, e alarmstate.Event, s subscription, classes []string, held int) error {
	contacts, channels := r.dir.members(s, func(o recipient.OnCall) string { return o.At(r.now) })
	for _, name := range channels {
		if ch, ok := r.dir.channels[strings.ToLower(name)]; ok && !ch.Disabled {
			r.pass(e, target{channel: ch}, s.name, classes, held)
		}
	}
	for _, name := range contacts {
		contact, ok := r.dir.contacts[strings.ToLower(name)]
		if !ok {
			continue
		}
		if err := r.person(ctx, e, contact, s.name, classes, held); err != nil {
			return err
		}
	}
	return nil
}

// person tells a contact, or who stands in for it.
func (r *routing) person(ctx context.Context, e alarmstate.Event, contact namedContact, subscription string, classes []string, held int) error {
	insteadOf := ""
	settings := personal.Settings{}
	if contact.User != "" {
		user, err := personal.Substitute(ctx, r.tx, contact.User, r.now.UnixMilli())
		if err != nil {
			return err
		}
		// Who stands in must be reachable, or nobody would hear of it.
		if other, ok := r.dir.contactOf(user); ok && user != "" {
			r.withhold(e, target{contact: contact, insteadOf: other.name}, subscription, alarmstate.ReasonDelegated)
			insteadOf, contact = contact.name, other
		}
		if settings, err = personal.Load(ctx, r.tx, contact.User); err != nil {
			return err
		}
	}
	for _, ch := range r.dir.forContacts() {
		to := target{channel: ch, contact: contact, insteadOf: insteadOf}
		switch {
		case to.address() == "":
		case !settings.Wants(e.Level, string(ch.Class())):
			r.withhold(e, to, subscription, alarmstate.ReasonSwitchedOff)
		default:
			r.pass(e, to, subscription, classes, held)
		}
	}
	return nil
}

// pass tells a target unless its class or channel is not for the event. That
// something is over is told by no message that costs or wakes.
func (r *routing) pass(e alarmstate.Event, to target, subscription string, classes []string, held int) {
	class := to.channel.Class()
	switch {
	case calm(e.Type) && (class == alarmrule.SMS || class == alarmrule.Phone):
	case !reaches(classes, class):
		r.withhold(e, to, subscription, alarmstate.ReasonClass)
	case !to.channel.Tells(e.Level, !calm(e.Type)):
		r.withhold(e, to, subscription, alarmstate.ReasonLevel)
	default:
		r.tell(e, to, subscription, held)
	}
}

// address of the contact in the channel; empty when it has none.
func (t target) address() string {
	if t.channel.Type == channel.TypeMail {
		return t.contact.Email
	}
	return t.contact.Phone
}

func (r *routing) tell(e alarmstate.Event, to target, subscription string, held int) {
	once := [3]string{to.channel.name, to.contact.name, e.ID}
	if r.told[once] {
		return
	}
	r.told[once] = true
	group := [3]string{to.channel.name, to.contact.name, e.Type}
	if i, grouped := r.first[group]; grouped && !to.channel.Type.OneEvent() {
		r.out[i].More = append(r.out[i].More, e.ID)
		r.out[i].HeldBack += held
		return
	}
	r.first[group] = len(r.out)
	d := r.delivery(e, to, subscription, alarmstate.Queued)
	d.HeldBack = held
	if to.contact.name != "" {
		d.Targets = []string{to.address()}
	}
	r.out = append(r.out, d)
}

func (r *routing) withhold(e alarmstate.Event, to target, subscription, reason string) {
	d := r.delivery(e, to, subscription, alarmstate.Withheld)
	d.Reason = reason
	r.held = append(r.held, d)
}

func (r *routing) delivery(e alarmstate.Event, to target, subscription, state string) alarmstate.Delivery {
	now := r.now.UnixMilli()
	return alarmstate.Delivery{ID: alarmstate.NewID("dlv_"), EventID: e.ID, More: []string{}, AlertID: e.AlertID, Workspace: e.Workspace, Channel: to.channel.name,
		State: state, CreatedMs: now, NextMs: now, Subscription: subscription, Contact: to.contact.name, InsteadOf: to.insteadOf, Targets: []string{}}
}

// store writes what was decided. A filter that stopped a notice which another
// subscription led to all the same stopped nothing.
func (r *routing) store(ctx context.Context) error {
	rows := slices.Clone(r.out)
	for _, d := range r.held {
		if d.Channel == "" || !r.told[[3]string{d.Channel, d.Contact, d.EventID}] {
			rows = append(rows, d)
		}
	}
	if len(rows) == 0 {
		return nil
	}
	if _, err := r.tx.NewInsert().Model(&rows).Exec(ctx); err != nil {
		return err
	}
	if len(r.out) == 0 {
		return nil
	}
	return meta.Changed(ctx, r.tx, alarmstate.TopicDeliveries)
}
