package alarmstate

import (
	"testing"

	"github.com/uptrace/bun"

	"github.com/pharos-stack/pharos/internal/meta"
	"github.com/pharos-stack/pharos/internal/meta/metatest"
)

// TestTablesOfOlderVersions gives the table of the first version the columns
// that came later: its rows stay and new ones can be written.
func TestTablesOfOlderVersions(t *testing.T) {
	metatest.Each(t, func(t *testing.T, open func(t *testing.T) *bun.DB) {
		db := open(t)
		if err := meta.Migrate(t.Context(), db, "alarm", Migrations[:2]); err != nil {
			t.Fatal(err)
		}
		for _, ddl := range []string{
			"DROP TABLE alarm_objects",
			"CREATE TABLE alarm_objects (rule_id VARCHAR NOT NULL, object VARCHAR NOT NULL, labels TEXT NOT NULL, true_run BIGINT NOT NULL, false_run BIGINT NOT NULL, alert_id VARCHAR NOT NULL, last_seen_ms BIGINT NOT NULL, last_notice_ms BIGINT NOT NULL, PRIMARY KEY (rule_id, object))",
			"INSERT INTO alarm_objects VALUES ('rul_1', '', '{}', 3, 0, 'alt_1', 5, 6)",
		} {
			if _, err := db.ExecContext(t.Context(), ddl); err != nil {
				t.Fatal(err)
			}
		}
		if err := meta.Migrate(t.Context(), db, "alarm", Migrations); err != nil {
			t.Fatal(err)
		}
		var rows []Object
		if err := db.NewSelect().Model(&rows).Scan(t.Context()); err != nil || len(rows) != 1 || rows[0].AlertID != "alt_1" || len(rows[0].Runs) != 0 {
			t.Fatalf("rows %+v, %v", rows, err)
		}
		next := Object{RuleID: "rul_2", Labels: map[string]string{}, Runs: map[string]Run{"chat": {True: 2, Last: 1<<60 - 1}}, Classes: []string{"chat"}}
		if _, err := db.NewInsert().Model(&next).Exec(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := db.NewSelect().Model(&rows).Where("rule_id = 'rul_2'").Scan(t.Context()); err != nil || rows[0].Runs["chat"] != next.Runs["chat"] {
			t.Fatalf("rows %+v, %v", rows, err)
		}
	})
}
