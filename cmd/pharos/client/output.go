package client

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"text/tabwriter"

	"go.yaml.in/yaml/v4"
)

// column of a table: a title and how to get its cell.
type column struct {
	title string
	cell  func(map[string]any) string
}

// field is a column whose cell is found by a path such as metadata.name.
func field(title, path string) column {
	return column{title, func(row map[string]any) string { return format(lookup(row, path)) }}
}

func lookup(row map[string]any, path string) any {
	var v any = row
	for part := range strings.SplitSeq(path, ".") {
		m, ok := v.(map[string]any)
		if !ok {
			return nil
		}
		v = m[part]
	}
	return v
}

func format(v any) string {
	switch v := v.(type) {
	case nil:
		return "-"
	case string:
		return v
	case float64:
		return strconv.FormatFloat(v, 'f', -1, 64)
	case bool:
		return fmt.Sprint(v)
	}
	text, err := json.Marshal(v)
	if err != nil {
		return fmt.Sprint(v)
	}
	return string(text)
}

// print writes rows in the chosen format: as a table, or whole as JSON or YAML.
func (c *Connection) print(rows []map[string]any, columns ...column) error {
	if c.Output != "table" {
		return c.printValue(rows)
	}
	w := tabwriter.NewWriter(c.out, 0, 4, 2, ' ', 0)
	titles := make([]string, len(columns))
	for i, col := range columns {
		titles[i] = col.title
	}
	fmt.Fprintln(w, strings.Join(titles, "\t"))
	for _, row := range rows {
		cells := make([]string, len(columns))
		for i, col := range columns {
			cells[i] = strings.NewReplacer("\t", " ", "\n", " ").Replace(col.cell(row))
		}
		fmt.Fprintln(w, strings.Join(cells, "\t"))
	}
	return w.Flush()
}

// printValue writes any value as JSON or YAML.
func (c *Connection) printValue(v any) error {
	if c.Output == "json" {
		e := json.NewEncoder(c.out)
		e.SetIndent("", "  ")
		return e.Encode(v)
	}
	text, err := yaml.Marshal(v)
	if err != nil {
		return fmt.Errorf("cannot write YAML: %w", err)
	}
	_, err = c.out.Write(text)
	return err
}
