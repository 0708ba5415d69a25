package config

import (
	"fmt"
	"slices"
	"strings"

	"github.com/alecthomas/kong"
)

// Table lists the flags of a program as a Markdown table: those of the program
// itself and of its commands that pick chooses, each once.
func Table(k *kong.Kong, pick func(command *kong.Node) bool) string {
	var b strings.Builder
	type row struct {
		flag *kong.Flag
		of   []string
	}
	var rows []*row
	add := func(n *kong.Node, of string) {
		for _, f := range n.Flags {
			i := slices.IndexFunc(rows, func(r *row) bool {
				return r.flag.Name == f.Name && r.flag.Help == f.Help && r.flag.Default == f.Default
			})
			if i < 0 {
				i, rows = len(rows), append(rows, &row{flag: f})
			}
			rows[i].of = append(rows[i].of, of)
		}
	}
	add(k.Model.Node, "every command")
	for _, n := range k.Model.Children {
		if pick(n) {
			add(n, n.Name)
		}
	}
	of := func(text string) string { // only where there are commands
		if len(k.Model.Children) == 0 {
			return ""
		}
		return " " + text + " |"
	}
	fmt.Fprintf(&b, "| flag | environment |%s default | what |\n|---|---|%s---|---|\n", of("of"), of("---"))
	slices.SortStableFunc(rows, func(a, b *row) int { return strings.Compare(a.flag.Name, b.flag.Name) })
	for _, r := range rows {
		if r.flag.Name == "help" || r.flag.Name == "version" {
			continue
		}
		def := "–"
		switch {
		case r.flag.Required:
			def = "required"
		case r.flag.HasDefault:
			def = "`" + r.flag.Default + "`"
		}
		fmt.Fprintf(&b, "| `--%s` | `%s` |%s %s | %s |\n", r.flag.Name, strings.Join(r.flag.Envs, ", "), of(strings.Join(r.of, ", ")), def,
			strings.ReplaceAll(r.flag.Help, "|", "\\|"))
	}
	return b.String()
}
