package meta

import (
	"context"

	"github.com/uptrace/bun"
	"github.com/uptrace/bun/dialect"
)

// Columns returns a migration step that gives an existing table the columns
// that add defines, such as "held TEXT NOT NULL DEFAULT '[]'", and takes those
// of drop away. A table that CreateTables made from a newer model has them already.
func Columns(name, table string, add, drop []Column) Migration {
	return Migration{Name: name, Up: func(ctx context.Context, db bun.IDB) error {
		for _, c := range add {
			there, err := hasColumn(ctx, db, table, c.Name)
			if err != nil {
				return err
			}
			if there {
				continue
			}
			if _, err := db.NewAddColumn().Table(table).ColumnExpr("? "+c.Type, bun.Ident(c.Name)).Exec(ctx); err != nil {
				return err
			}
		}
		for _, c := range drop {
			there, err := hasColumn(ctx, db, table, c.Name)
			if err != nil {
				return err
			}
			if !there {
				continue
			}
			if _, err := db.NewDropColumn().Table(table).Column(c.Name).Exec(ctx); err != nil {
				return err
			}
		}
		return nil
	}}
}

// Column of a table.
type Column struct {
	Name string
	// Type in SQL, with its default.
	Type string
}

// Types of columns that are added, as CreateTables would make them of Go's types.
const (
	TextColumn    = "TEXT NOT NULL DEFAULT ''"
	ListColumn    = "TEXT NOT NULL DEFAULT '[]'"
	MapColumn     = "TEXT NOT NULL DEFAULT '{}'"
	IntegerColumn = "BIGINT NOT NULL DEFAULT 0"
)

func hasColumn(ctx context.Context, db bun.IDB, table, column string) (bool, error) {
	query := "SELECT count(*) FROM pragma_table_info(?) WHERE name = ?"
	if db.Dialect().Name() == dialect.PG {
		query = "SELECT count(*) FROM information_schema.columns WHERE table_schema = current_schema() AND table_name = ? AND column_name = ?"
	}
	var n int
	err := db.NewRaw(query, table, column).Scan(ctx, &n)
	return n > 0, err
}
