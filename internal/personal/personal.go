// Package personal keeps what an account decides about its own alarms, in the
// metadata database: by which channels it wants to be told of which levels, and
// who stands in for it. Both hold in all workspaces.
//
// It promises that delegations of an account do not overlap.
package personal

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/uptrace/bun"

	"github.com/pharos-stack/pharos/internal/alarmrule"
	"github.com/pharos-stack/pharos/internal/fielderr"
	"github.com/pharos-stack/pharos/internal/meta"
)

// Settings are the channels that are switched off, by the colour of a level.
type Settings struct {
	// Off has the classes of channels by red (P0), orange (P1) and normal (P2 to P4).
	Off map[string][]string `json:"off" doc:"Classes of channels that are switched off (chat, sms, email, phone), by red (P0), orange (P1) and normal (P2 to P4)"`
}

// Colours of levels.
var colours = []string{"red", "orange", "normal"}

var classes = []string{string(alarmrule.Chat), string(alarmrule.SMS), string(alarmrule.Email), string(alarmrule.Phone)}

// Colour of a level.
func Colour(level string) string {
	switch level {
	case "P0":
		return "red"
	case "P1":
		return "orange"
	}
	return "normal"
}

// Validate checks s.
func (s Settings) Validate() error {
	var es fielderr.Errors
	for colour, off := range s.Off {
		if !slices.Contains(colours, colour) {
			es.Add("off."+colour, "bad_value", "%q; use red, orange or normal", colour)
		}
		for i, c := range off {
			if !slices.Contains(classes, c) {
				es.Add(fmt.Sprintf("off.%s[%d]", colour, i), "bad_value", "%q; use chat, sms, email or phone", c)
			}
		}
	}
	return es.Err()
}

// Wants tells whether a class may tell of a level.
func (s Settings) Wants(level, class string) bool {
	return !slices.Contains(s.Off[Colour(level)], class)
}

type settingsRow struct {
	bun.BaseModel `bun:"table:personal_settings"`
	User          string              `bun:",pk"`
	Off           map[string][]string `bun:",type:text,notnull"`
}

// Delegation lets another account get and handle the notices of a period.
type Delegation struct {
	bun.BaseModel `bun:"table:personal_delegations"`
	ID            string `bun:",pk" json:"id"`
	User          string `bun:",notnull" json:"user"`
	Substitute    string `bun:",notnull" json:"substitute"`
	FromMs        int64  `bun:",notnull" json:"from_ms"`
	ToMs          int64  `bun:",notnull" json:"to_ms"`
}

// Migrations of the tables; their component is "personal".
var Migrations = []meta.Migration{meta.CreateTables("personal alarm settings", (*settingsRow)(nil), (*Delegation)(nil))}

// Migrate brings the tables up to date.
func Migrate(ctx context.Context, db *bun.DB) error {
	return meta.Migrate(ctx, db, "personal", Migrations)
}

// maxDelegation is how long somebody may stand in.
const maxDelegation = 90 * 24 * time.Hour

// Load returns the settings of an account; all is on unless it was switched off.
func Load(ctx context.Context, db bun.IDB, user string) (Settings, error) {
	r := settingsRow{User: user}
	err := db.NewSelect().Model(&r).WherePK().Scan(ctx)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return Settings{}, fmt.Errorf("cannot read alarm settings of %q: %w", user, err)
	}
	if r.Off == nil {
		r.Off = map[string][]string{}
	}
	return Settings{Off: r.Off}, nil
}

// Save stores the settings of an account.
func Save(ctx context.Context, db bun.IDB, user string, s Settings) error {
	if err := s.Validate(); err != nil {
		return err
	}
	if s.Off == nil {
		s.Off = map[string][]string{}
	}
	_, err := db.NewInsert().Model(&settingsRow{User: user, Off: s.Off}).On(`CONFLICT ("user") DO UPDATE`).Set("off = EXCLUDED.off").Exec(ctx)
	if err != nil {
		return fmt.Errorf("cannot store alarm settings of %q: %w", user, err)
	}
	return nil
}

// Delegations of an account, the first first.
func Delegations(ctx context.Context, db bun.IDB, user string) ([]Delegation, error) {
	rows := []Delegation{}
	if err := db.NewSelect().Model(&rows).Where(`"user" = ?`, user).Order("from_ms").Scan(ctx); err != nil {
		return nil, fmt.Errorf("cannot read delegations of %q: %w", user, err)
	}
	return rows, nil
}

// Delegate adds a delegation. It returns fielderr.Errors for one that can't be.
func Delegate(ctx context.Context, db *bun.DB, d Delegation) error {
	var es fielderr.Errors
	if d.Substitute == d.User || d.Substitute == "" {
		es.Add("substitute", "bad_substitute", "%q can't stand in for %q; give another account", d.Substitute, d.User)
	}
	if d.FromMs >= d.ToMs || d.ToMs-d.FromMs > maxDelegation.Milliseconds() {
		es.Add("to_ms", "bad_period", "%d is not within 90 days after from_ms (%d)", d.ToMs, d.FromMs)
	}
	if err := es.Err(); err != nil {
		return err
	}
	return db.RunInTx(ctx, nil, func(ctx context.Context, tx bun.Tx) error {
		if err := meta.Changed(ctx, tx, "personal"); err != nil { // writers pass one after another
			return err
		}
		all, err := Delegations(ctx, tx, d.User)
		if err != nil {
			return err
		}
		for _, o := range all {
			if d.FromMs < o.ToMs && o.FromMs < d.ToMs {
				return fielderr.Errors{{Field: "from_ms", Code: "overlap", Message: fmt.Sprintf("%q stands in for a part of that time already; give another time or remove that delegation", o.Substitute)}}
			}
		}
		if _, err := tx.NewInsert().Model(&d).Exec(ctx); err != nil {
			return fmt.Errorf("cannot store delegation: %w", err)
		}
		return nil
	})
}

// Undelegate removes a delegation of an account and tells whether it was there.
func Undelegate(ctx context.Context, db bun.IDB, user, id string) (bool, error) {
	res, err := db.NewDelete().Model((*Delegation)(nil)).Where(`id = ? AND "user" = ?`, id, user).Exec(ctx)
	if err != nil {
		return false, fmt.Errorf("cannot remove delegation: %w", err)
	}
	n, err := res.RowsAffected()
	return n > 0, err
}

// Substitute returns who stands in for user at a time; empty for nobody.
func Substitute(ctx context.Context, db bun.IDB, user string, ms int64) (string, error) {
	var rows []Delegation
	if err := db.NewSelect().Model(&rows).Where(`"user" = ? AND from_ms <= ? AND to_ms > ?`, user, ms, ms).Scan(ctx); err != nil {
		return "", fmt.Errorf("cannot read delegations of %q: %w", user, err)
	}
	if len(rows) == 0 {
		return "", nil
	}
	return rows[0].Substitute, nil
}
