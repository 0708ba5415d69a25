package logpipe

import (
	"bytes"
	"flag"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/pharos-stack/pharos/internal/logrule"
	"github.com/pharos-stack/pharos/internal/partial"
	"go.yaml.in/yaml/v4"
	"golang.org/x/text/encoding/simplifiedchinese"
)

var update = flag.Bool("update", false, "write what the scripts give into their want part")

// TestScripts runs testdata/*.txt. Each has the parts rule (the spec as YAML),
// options (now, zone, bytes: the encoding of the lines in the file, explain),
// lines and want.
func TestScripts(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatal("no scripts", err)
	}
	for _, f := range files {
		t.Run(strings.TrimSuffix(filepath.Base(f), ".txt"), func(t *testing.T) {
			body, err := os.ReadFile(f)
			if err != nil {
				t.Fatal(err)
			}
			parts := scriptParts(string(body))
			got := runScript(t, parts)
			if *update {
				head, _, _ := strings.Cut(string(body), "-- want --\n")
				if err := os.WriteFile(f, []byte(head+"-- want --\n"+got), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if got != parts["want"] {
				t.Errorf("got:\n%s\nwant:\n%s", got, parts["want"])
			}
		})
	}
}

func scriptParts(body string) map[string]string {
	parts := map[string]string{}
	name := ""
	for _, l := range strings.SplitAfter(body, "\n") {
		if t := strings.TrimSpace(l); strings.HasPrefix(t, "-- ") && strings.HasSuffix(t, " --") {
			name = t[3 : len(t)-3]
			continue
		}
		parts[name] += l
	}
	return parts
}

func runScript(t *testing.T, parts map[string]string) string {
	t.Helper()
	spec := logrule.Spec{Title: "script", Paths: []string{"/x"}}
	if err := yaml.Unmarshal([]byte(parts["rule"]), &spec); err != nil {
		t.Fatal(err)
	}
	options := map[string]string{}
	if err := yaml.Unmarshal([]byte(parts["options"]), &options); err != nil {
		t.Fatal(err)
	}
	now, err := time.Parse(time.RFC3339, options["now"])
	if err != nil {
		t.Fatal(err)
	}
	loc, err := time.LoadLocation(options["zone"])
	if err != nil {
		t.Fatal(err)
	}
	if spec.Type == "" {
		spec.Type = logrule.MinuteMulti
	}
	spec = spec.WithDefaults()
	if err := spec.Validate("spec"); err != nil {
		t.Fatal(err)
	}
	p, err := Compile(spec)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.NewReplacer(`\r`, "\r", `\x01\x02`, "\x01\x02", `\xff`, "\xff", `\t`, "\t").Replace(parts["lines"])
	if options["bytes"] == "gb18030" {
		if lines, err = simplifiedchinese.GB18030.NewEncoder().String(lines); err != nil {
			t.Fatal(err)
		}
	}
	keyCap, _ := strconv.Atoi(options["key_cap"])
	task := NewTask(p, TaskOptions{Location: loc, KeyCap: keyCap})
	fs := FileState{}
	NewGroup([]*Task{task}).Process(&fs, []byte(lines), now.UnixMilli())
	var out strings.Builder
	for _, w := range task.Windows() {
		writeWindow(t, &out, spec, p, w, loc)
	}
	for _, s := range task.BadSamples() {
		fmt.Fprintf(&out, "bad %s: %q\n", s.Reason, s.Text)
	}
	if options["explain"] != "" {
		fs := FileState{}
		for _, l := range bytes.SplitAfter([]byte(lines), []byte("\n")) {
			if len(l) > 0 {
				writeExplained(&out, p.Explain(&fs, l, now.UnixMilli(), loc))
			}
		}
	}
	return out.String()
}

func writeWindow(t *testing.T, out *strings.Builder, spec logrule.Spec, p *Program, w *Window, loc *time.Location) {
	t.Helper()
	fmt.Fprintf(out, "%s", time.UnixMilli(w.StartMs).In(loc).Format("2006-01-02 15:04:05 -0700"))
	c := w.Counters
	for _, n := range []struct {
		name string
		n    uint64
	}{{"read", c.Read}, {"matched", c.Matched}, {"filtered", c.Filtered}, {"unmatched", c.Unmatched}, {"bad", c.Bad}, {"late", c.Late},
		{"bad_numbers", c.BadNumbers}, {"undecodable", c.Undecodable}, {"cut", c.Cut}, {"keys_dropped", c.KeysDropped}, {"values_cut", c.ValuesCut}} {
		if n.n > 0 {
			fmt.Fprintf(out, " %s=%d", n.name, n.n)
		}
	}
	out.WriteByte('\n')
	table, err := partial.Decode(w.AppendTable(nil))
	if err != nil {
		t.Fatal(err)
	}
	figures := func(name string, r *partial.Row) string {
		var b strings.Builder
		fmt.Fprintf(&b, "  %s:", name)
		for i, v := range p.Figures(r) {
			text := strconv.FormatFloat(v, 'f', -1, 64)
			if math.IsNaN(v) {
				text = "absent"
			}
			fmt.Fprintf(&b, " %s=%s", spec.Statistics[i].Name, text)
		}
		return b.String()
	}
	var rows []string
	for _, r := range table.Rows {
		rows = append(rows, figures(strings.Join(r.Key, " / "), r))
	}
	slices.Sort(rows)
	for _, r := range append(rows, figures("all", &table.Total)) {
		fmt.Fprintln(out, r)
	}
}

func writeExplained(out *strings.Builder, e Explained) {
	fmt.Fprintf(out, "%s\n  %s", e.Text, e.Outcome)
	if e.TimeMs != 0 {
		fmt.Fprintf(out, " at %s", time.UnixMilli(e.TimeMs).UTC().Format("2006-01-02T15:04:05.000Z"))
	}
	fmt.Fprintf(out, " time=%q", e.Text[e.TimeStart:e.TimeEnd])
	for _, c := range e.Columns {
		if c.Missing {
			fmt.Fprintf(out, " %s missing", c.Name)
			continue
		}
		fmt.Fprintf(out, " %s=%q@%d", c.Name, c.Value, c.Start)
		if e.Text[c.Start:c.End] != c.Value {
			fmt.Fprintf(out, " (not %q)", e.Text[c.Start:c.End])
		}
	}
	if e.Key != nil {
		fmt.Fprintf(out, " key=%q", e.Key)
	}
	if e.Detail != "" {
		fmt.Fprintf(out, "\n  %s", e.Detail)
	}
	out.WriteByte('\n')
}
