package logpipe

import (
	"fmt"
	"strings"
	"testing"

	"github.com/pharos-stack/pharos/internal/logrule"
	"github.com/pharos-stack/pharos/internal/partial"
)

// Files of several encodings at once: each rule sees its own, and what stands
// in them counts the same whatever the blocks.
func TestTranscodedFiles(t *testing.T) {
	for e, words := range map[logrule.Encoding][]string{
		logrule.EncodingBig5: {"臺北", "許功蓋"}, logrule.EncodingShiftJIS: {"表示", "ソース"}, logrule.EncodingEUCKR: {"서울", "부산"}, logrule.EncodingLatin1: {"Zürich", "café"},
	} {
		for _, multiline := range []string{"", `^\d{4}-`} {
			spec := logrule.Spec{Title: "x", Type: logrule.MinuteMulti, Paths: []string{"/x"}, Encoding: e, MultilineStart: multiline,
				Time:    logrule.TimeRule{Format: logrule.TimeNormal, Timezone: "UTC"},
				Columns: []logrule.Column{{Name: "word", Split: &logrule.SplitRule{Delimiter: "，", Index: 1}}}, GroupBy: []string{"word"}}
			delimiter := "，"
			if e == logrule.EncodingLatin1 || e == logrule.EncodingEUCKR { // they have no such comma
				spec.Columns[0].Split.Delimiter, delimiter = "|", "|"
			}
			var text strings.Builder
			for i := range 40 {
				fmt.Fprintf(&text, "2026-11-23 07:00:%02d%s%s%sx\n", i%60, delimiter, words[i%4/3], delimiter)
				if multiline != "" {
					text.WriteString("\tat somewhere\n")
				}
			}
			raw, err := transcoded[e].NewEncoder().Bytes([]byte(text.String()))
			if err != nil {
				t.Fatal(err)
			}
			raw = append(raw, []byte("2026-11-23 07:00:59")...)
			encoded, err := transcoded[e].NewEncoder().Bytes([]byte(delimiter))
			if err != nil {
				t.Fatal(err)
			}
			raw = append(append(append(raw, encoded...), "a\xffb"...), append(encoded, "x\n"...)...)
			plain := spec
			plain.Encoding = logrule.EncodingUTF8
			task, other := taskOf(t, spec), taskOf(t, plain)
			g, fs := NewGroup([]*Task{task, other}), FileState{Path: "/x"}
			for len(raw) > 0 { // in blocks of whole lines
				n := min(len(raw), 150)
				n = strings.LastIndexByte(string(raw[:n]), '\n') + 1
				g.Process(&fs, raw[:n], benchNow)
				raw = raw[n:]
			}
			g.Flush(&fs, benchNow)
			table, err := partial.Decode(task.Windows()[0].AppendTable(nil))
			if err != nil {
				t.Fatal(err)
			}
			got := map[string]uint64{}
			for _, r := range table.Rows {
				got[r.Key[0]] = r.Lines
			}
			undecodable := task.Windows()[0].Counters.Undecodable
			if got[words[0]] != 30 || got[words[1]] != 10 || len(got) != 3 || (undecodable != 1) != (e == logrule.EncodingLatin1) {
				t.Errorf("%s %q: %v, %d undecodable", e, multiline, got, undecodable)
			}
		}
	}
}

func taskOf(t *testing.T, spec logrule.Spec) *Task {
	t.Helper()
	spec = spec.WithDefaults()
	if err := spec.Validate("spec"); err != nil {
		t.Fatal(err)
	}
	p, err := Compile(spec)
	if err != nil {
		t.Fatal(err)
	}
	return NewTask(p, TaskOptions{})
}
