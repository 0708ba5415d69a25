package alarm

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode/utf16"

	"github.com/uptrace/bun"

	"github.com/pharos-stack/pharos/internal/alarmstate"
	"github.com/pharos-stack/pharos/internal/channel"
)

// told remembers which numbers a delivery has reached, so that trying again
// for one number does not tell the others twice.
type told struct {
	bun.BaseModel `bun:"table:alarm_told"`
	DeliveryID    string `bun:",pk"`
	Number        string `bun:",pk"`
	AtMs          int64  `bun:",notnull"`
}

// sendToPhones tells events to the numbers of a channel.
func (a *Alarm) sendToPhones(ctx context.Context, spec channel.Spec, d alarmstate.Delivery, events []alarmstate.Event) (string, error) {
	values := a.variables(events)
	switch spec.Type {
	case channel.TypeGateway:
		return a.tellPhones(ctx, d, spec.Gateway.Phones, func(number string) (string, error) { return a.sendGateway(ctx, *spec.Gateway, number, values) })
	case channel.TypeAliyun:
		return a.tellPhones(ctx, d, spec.Aliyun.Phones, func(number string) (string, error) { return a.sendAliyun(ctx, *spec.Aliyun, number, values) })
	case channel.TypeTencent:
		return a.tellPhones(ctx, d, spec.Tencent.Phones, func(number string) (string, error) { return a.sendTencent(ctx, *spec.Tencent, number, values) })
	}
	return a.tellPhones(ctx, d, spec.Twilio.Phones, func(number string) (string, error) { return a.sendTwilio(ctx, *spec.Twilio, number, values) })
}

// tellPhones makes one request for each number that d has not reached yet, a
// bad number keeping no other from being told.
func (a *Alarm) tellPhones(ctx context.Context, d alarmstate.Delivery, p channel.Phones, tell func(number string) (answer string, err error)) (string, error) {
	var reached []string
	if err := a.o.DB.NewSelect().Model((*told)(nil)).Column("number").Where("delivery_id = ?", d.ID).Scan(ctx, &reached); err != nil {
		return "", fmt.Errorf("cannot read who was told: %w", err)
	}
	done := map[string]bool{}
	for _, number := range reached {
		done[number] = true
	}
	var answers []string
	var lasting, passing []error
	for _, number := range p.To {
		if done[number] {
			continue
		}
		if err := a.underQuota(ctx, d, p.PerDay); err != nil {
			lasting = append(lasting, err)
			break
		}
		answer, err := tell(number)
		answers = append(answers, number+" "+cut(answer, 200))
		switch {
		case err == nil:
			_, err := a.o.DB.NewInsert().Model(&told{DeliveryID: d.ID, Number: number, AtMs: a.o.Now().UnixMilli()}).Exec(ctx)
			if err != nil && ctx.Err() == nil {
				a.o.Logger.Error("cannot record who was told; a number may be told twice", "delivery", d.ID, "err", err)
			}
		case errors.As(err, new(permanent)):
			lasting = append(lasting, fmt.Errorf("%s: %w", number, err))
		default:
			passing = append(passing, fmt.Errorf("%s: %w", number, err))
		}
		if errors.As(err, new(*busy)) {
			break // it would do no better with the other numbers
		}
	}
	answer := strings.Join(answers, "; ")
	if len(passing) > 0 {
		return answer, withoutPermanent{errors.Join(append(passing, lasting...)...)}
	}
	if len(lasting) > 0 {
		return answer, permanent{errors.Join(lasting...)}
	}
	return answer, nil
}

// withoutPermanent hides that some of the errors in it are permanent.
type withoutPermanent struct{ error }

// As finds what a receiver asked for, such as to be left alone.
func (w withoutPermanent) As(target any) bool {
	asked, ok := target.(**busy)
	return ok && errors.As(w.error, asked)
}

// underQuota counts a request, and refuses it when perDay have been made in 24 hours.
func (a *Alarm) underQuota(ctx context.Context, d alarmstate.Delivery, perDay int) error {
	now := a.o.Now()
	made, err := a.o.DB.NewSelect().Model((*request)(nil)).Where("workspace = ? AND channel = ? AND at_ms > ?", d.Workspace, d.Channel, now.Add(-24*time.Hour).UnixMilli()).Count(ctx)
	if err != nil {
		return fmt.Errorf("cannot count recent requests: %w", err)
	}
	if perDay > 0 && int(made) >= perDay {
		return permanent{fmt.Errorf("the channel's %d requests in 24 hours are used up; raise per_day", perDay)}
	}
	if _, err := a.o.DB.NewInsert().Model(&request{Workspace: d.Workspace, Channel: d.Channel, AtMs: now.UnixMilli()}).Exec(ctx); err != nil {
		return fmt.Errorf("cannot record request: %w", err)
	}
	return nil
}

// variables are the values of channel.Variables but to and secret.
func (a *Alarm) variables(events []alarmstate.Event) map[string]string {
	e := events[0]
	message := e.Message
	if len(events) > 1 {
		message += ", " + fmt.Sprintf(a.words.more, len(events)-1)
	}
	const layout = "2006-01-02 15:04"
	return map[string]string{"text": smsText(message), "message": message, "title": e.Title, "level": e.Level, "state": a.words.state(e.Type), "type": e.Type,
		"rule": e.Rule, "object": formatObject(e.Labels), "workspace": e.Workspace, "started": time.UnixMilli(e.StartedMs).Format(layout),
		"time": time.UnixMilli(e.TimeMs).Format(layout), "link": a.link(e), "emergency_text": e.EmergencyText, "emergency_link": e.EmergencyLink,
		"alert_id": e.AlertID, "event_id": e.ID}
}

// expand puts values into a template. A bound counts characters before they are escaped.
func expand(template string, values map[string]string, escape func(string) string) string {
	return channel.Variable.ReplaceAllStringFunc(template, func(found string) string {
		m := channel.Variable.FindStringSubmatch(found)
		value := values[m[1]]
		if n, err := strconv.Atoi(m[2]); err == nil {
			if runes := []rune(value); len(runes) > n {
				value = string(runes[:n])
			}
		}
		return escape(value)
	})
}

// plain keeps a value on one line.
func plain(s string) string { return strings.NewReplacer("\r", " ", "\n", " ").Replace(s) }

// smsText cuts a text to what one message holds: 140 Latin characters, or 70
// units of UCS-2 where there are others (spec 05 §11.5).
func smsText(s string) string {
	s = plain(s)
	limit := 140
	for _, r := range s {
		if r > 0x7e {
			limit = 70
		}
	}
	units := 0
	for i, r := range s {
		if units += utf16.RuneLen(r); units > limit {
			return s[:i]
		}
	}
	return s
}
