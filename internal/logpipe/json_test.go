package logpipe

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/pharos-stack/pharos/internal/logrule"
)

// cutOne returns what a column's rule cuts out of a line.
func cutOne(t testing.TB, line string, columns ...logrule.Column) (value string, ok bool) {
	t.Helper()
	spec := logrule.Spec{Title: "t", Type: logrule.Minute, Paths: []string{"/x"}, Time: logrule.TimeRule{Format: logrule.TimeReceive}, Columns: columns}.WithDefaults()
	p, err := Compile(spec)
	if err != nil {
		t.Fatal(err)
	}
	last := p.Explain(&FileState{}, []byte(line), 1_700_000_000_000, time.UTC).Columns[len(columns)-1]
	if !last.Missing && last.End > 0 && !strings.Contains(line, "\\") && len(columns) == 1 && columns[0].Translate == nil && line[last.Start:last.End] != last.Value {
		t.Errorf("%q stands at %q", last.Value, line[last.Start:last.End])
	}
	return last.Value, !last.Missing
}

func TestJSONColumns(t *testing.T) {
	const missing = "(missing)"
	for _, c := range []struct{ line, path, want string }{
		{`{"a":1,"b":{"c":[10,{"d":"x y"}]}}`, "a", "1"},
		{`{"a":1,"b":{"c":[10,{"d":"x y"}]}}`, "b.c[1].d", "x y"},
		{`{"a":1,"b":{"c":[10,{"d":"x y"}]}}`, "$.b.c[0]", "10"},
		{`{"a":1,"b":{"c":[10,{"d":"x y"}]}}`, "b.c", `[10,{"d":"x y"}]`},
		{`{"a":1,"b":{"c":[10,{"d":"x y"}]}}`, "b.c[2]", missing},
		{`{"a":1,"b":{"c":[10,{"d":"x y"}]}}`, "b.x", missing},
		{`{"a":1,"b":{"c":[10,{"d":"x y"}]}}`, "a.b", missing},
		{`  { "a" : true , "b" : null , "c":"" , "d":-1.5e3 } trailing`, "a", "true"},
		{`  { "a" : true , "b" : null , "c":"" , "d":-1.5e3 } trailing`, "b", missing},
		{`  { "a" : true , "b" : null , "c":"" , "d":-1.5e3 } trailing`, "c", ""},
		{`  { "a" : true , "b" : null , "c":"" , "d":-1.5e3 } trailing`, "d", "-1.5e3"},
		{`{"a.b":7,"a":{"b":8}}`, `["a.b"]`, "7"},
		{`{"a.b":7,"a":{"b":8}}`, `a.b`, "8"},
		{`{"s":"say \"hi\"\n\\ \u4e2d\ud83d\ude00 \ud800 \q","n":"\u0061"}`, "s", "say \"hi\"\n\\ 中😀 \uFFFD \\q"},
		{`{"\u0061b":"found"}`, "ab", "found"},
		{`{"a":"}]{","b":"\\","c":2}`, "c", "2"},
		{`{"a":1,"a":2}`, "a", "1"},
		{`[{"x":1},{"x":2}]`, "[1].x", "2"},
		{`{"msg":"支付成功","amount":"￥50"}`, "msg", "支付成功"},
		{`{"msg":"支付成功","amount":"￥50"}`, "amount", "￥50"},
		{`{"a":1,"b":2`, "a", "1"},
		{`{"a":1,"b":2`, "b", missing},
		{`{"a":"cut of`, "a", missing},
		{`{"a":{"b":1}`, "a.b", "1"},
		{`{"a":[],"b":{},"c":3}`, "c", "3"},
		{`{"a" 1,"b":2}`, "b", missing},
		{`{"a":,"b":2}`, "b", missing},
		{`plain text`, "a", missing},
		{``, "a", missing},
		{strings.Repeat(`{"a":`, 200) + "1", strings.Repeat("a.", 149) + "a", missing},
	} {
		got, ok := cutOne(t, c.line, logrule.Column{Name: "v", JSON: &logrule.JSONRule{Path: c.path}})
		if !ok {
			got = missing
		}
		if got != c.want {
			t.Errorf("%s of %s is %q, want %q", c.path, c.line, got, c.want)
		}
	}
}

func TestJSONPathErrors(t *testing.T) {
	for path, want := range map[string]string{
		"": "names no member", "$": "names no member", "a..b": "empty name", "a.": "ends with a dot", ".a": "empty name",
		"a[x]": "not a place", "a[-1]": "not a place", "a[0": "not a place", `a["x]`: "does not end", "a[0]b": "after a bracket",
	} {
		if _, err := logrule.ParseJSONPath(path); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", path, err, want)
		}
	}
}

// TestJSONAgreesWithEncodingJSON compares members of random documents with what
// package encoding/json reads.
func TestJSONAgreesWithEncodingJSON(t *testing.T) {
	rng := rand.New(rand.NewPCG(7, 8))
	texts := []string{"", "x", "a \"quoted\" one", "back\\slash", "中文", "tab\t", "{", "]", ",", "😀", "\u2028", "</script>"}
	var make func(depth int) (any, []string)
	make = func(depth int) (any, []string) { // a value, and paths into it
		var paths []string
		switch k := rng.IntN(6); {
		case k == 0 && depth > 0:
			list := []any{}
			for i := range rng.IntN(4) {
				v, below := make(depth - 1)
				list = append(list, v)
				paths = append(paths, fmt.Sprintf("[%d]", i))
				for _, p := range below {
					paths = append(paths, fmt.Sprintf("[%d]%s", i, p))
				}
			}
			return list, paths
		case k <= 2 && depth > 0:
			object := map[string]any{}
			for range rng.IntN(5) {
				name := []string{"a", "b", "long name", "c.d", "数", "q\"", ""}[rng.IntN(7)]
				if _, taken := object[name]; taken {
					continue
				}
				v, below := make(depth - 1)
				object[name] = v
				step := "[" + strconv.Quote(name) + "]"
				paths = append(paths, step)
				for _, p := range below {
					paths = append(paths, step+p)
				}
			}
			return object, paths
		case k == 3:
			return rng.Float64() * 1000, nil
		case k == 4:
			return []any{true, false, nil, 12}[rng.IntN(4)], nil
		}
		return texts[rng.IntN(len(texts))], nil
	}
	checked := 0
	for range 3000 {
		doc, paths := make(4)
		if len(paths) == 0 {
			continue
		}
		var b strings.Builder
		enc := json.NewEncoder(&b)
		enc.SetEscapeHTML(rng.IntN(2) == 0)
		if err := enc.Encode(doc); err != nil {
			t.Fatal(err)
		}
		path := paths[rng.IntN(len(paths))]
		steps, err := logrule.ParseJSONPath(path)
		if err != nil {
			t.Fatal(err)
		}
		v := doc
		for _, s := range steps {
			if s.Place >= 0 {
				v = v.([]any)[s.Place]
			} else {
				v = v.(map[string]any)[s.Name]
			}
		}
		want, has := "", v != nil
		switch v := v.(type) {
		case nil:
		case string:
			want = strings.TrimSpace(v)
		default:
			var raw strings.Builder
			inner := json.NewEncoder(&raw)
			inner.SetEscapeHTML(strings.Contains(b.String(), `\u003c`))
			if err := inner.Encode(v); err != nil {
				t.Fatal(err)
			}
			want = strings.TrimSpace(raw.String())
		}
		if len(want) > maxValue || strings.Contains(want, "<") && strings.Contains(want, "{") || strings.Contains(want, "[") {
			continue
		}
		checked++
		if got, ok := cutOne(t, b.String(), logrule.Column{Name: "v", JSON: &logrule.JSONRule{Path: path}}); ok != has || got != want {
			t.Fatalf("%s of %s is %q, %v; want %q, %v", path, b.String(), got, ok, want, has)
		}
	}
	if checked < 1000 {
		t.Errorf("only %d documents were compared", checked)
	}
}

func TestKVColumns(t *testing.T) {
	const missing = "(missing)"
	for _, c := range []struct{ line, key, separator, assign, want string }{
		{`level=info msg="paid \"in full\"" cost=12 ok`, "level", "", "", "info"},
		{`level=info msg="paid \"in full\"" cost=12 ok`, "msg", "", "", `paid "in full"`},
		{`level=info msg="paid \"in full\"" cost=12 ok`, "cost", "", "", "12"},
		{`level=info msg="paid \"in full\"" cost=12 ok`, "ok", "", "", missing},
		{`level=info msg="cost=9 level=x" cost=12`, "cost", "", "", "12"},
		{"2026-11-23 10:00:00 [main]\ta=1   b=  c=x=y", "a", "", "", "1"},
		{"2026-11-23 10:00:00 [main]\ta=1   b=  c=x=y", "b", "", "", ""},
		{"2026-11-23 10:00:00 [main]\ta=1   b=  c=x=y", "c", "", "", "x=y"},
		{"a=1 a=2", "a", "", "", "1"},
		{"ab=1 b=2", "b", "", "", "2"},
		{"id:7|name: Zhang San |ok:Y", "name", "|", ":", "Zhang San"},
		{"id:7|name: Zhang San |ok:Y", "ok", "|", ":", "Y"},
		{`id:7|name:"a|b"|ok:Y`, "name", "|", ":", "a|b"},
		{`id:7|name:"a|b"|ok:Y`, "ok", "|", ":", "Y"},
		{"k=>v&&k2=>v2", "k2", "&&", "=>", "v2"},
		{`a="open`, "a", "", "", "open"},
		{`a="ends with \`, "a", "", "", `ends with \`},
		{"结果=成功 金额=50", "结果", "", "", "成功"},
		{"a\x01b=1\x01c=2", "c", `\x01`, "", "2"},
		{"", "a", "", "", missing},
	} {
		got, ok := cutOne(t, c.line, logrule.Column{Name: "v", KV: &logrule.KVRule{Key: c.key, Separator: c.separator, Assign: c.assign}})
		if !ok {
			got = missing
		}
		if got != c.want {
			t.Errorf("%s of %q is %q, want %q", c.key, c.line, got, c.want)
		}
	}
}

// TestDerivedColumns cuts columns out of columns, also of what a translation
// or the unescaping of JSON has made.
func TestDerivedColumns(t *testing.T) {
	json := func(path string) *logrule.JSONRule { return &logrule.JSONRule{Path: path} }
	split := func(d string, i int) *logrule.SplitRule { return &logrule.SplitRule{Delimiter: d, Index: i} }
	long := strings.Repeat("x", 1000)
	for _, c := range []struct {
		line, want string
		columns    []logrule.Column
	}{
		{`10:00 INFO {"user":{"name":"A"}}`, "A", []logrule.Column{{Name: "body", Between: &logrule.BetweenRule{Left: "INFO "}}, {Name: "v", From: "body", JSON: json("user.name")}}},
		{`10:00 INFO {"pad":"` + long + `","user":"B"}`, "B", []logrule.Column{{Name: "body", Between: &logrule.BetweenRule{Left: "INFO "}}, {Name: "v", From: "body", JSON: json("user")}}},
		{`{"inner":"{\"a\":[1,2]}"}`, "2", []logrule.Column{{Name: "in", JSON: json("inner")}, {Name: "v", From: "in", JSON: json("a[1]")}}},
		{`{"msg":"took 2340ms"}`, "2340", []logrule.Column{{Name: "msg", JSON: json("msg")}, {Name: "v", From: "msg", Between: &logrule.BetweenRule{Left: " ", Right: "ms"}}}},
		{`a,b/c/d,e`, "d", []logrule.Column{{Name: "p", Split: split(",", 1)}, {Name: "v", From: "p", Split: split("/", -1)}}},
		{`a,b/c/d,e`, "c", []logrule.Column{{Name: "p", Split: split(",", 1)}, {Name: "q", From: "p", Split: split("/", 1)}, {Name: "v", From: "q", Line: true}}},
		{`a,支/付/款,e`, "付", []logrule.Column{{Name: "p", Split: split(",", 1)}, {Name: "v", From: "p", Split: split("/", 1)}}},
		{`a,b`, "beta", []logrule.Column{{Name: "p", Split: split(",", 1), Translate: &logrule.Translation{Entries: []logrule.TranslationEntry{{Value: "b", To: "al/beta"}}}},
			{Name: "v", From: "p", Split: split("/", 1)}}},
		{`GET /item/42?x=1`, "/item/{id}", []logrule.Column{{Name: "u", Split: split(" ", 1)}, {Name: "v", From: "u", Line: true, Translate: &logrule.Translation{
			Script: `^(/item/)\d+(\?.*)?$ ~> ${1}{id}` + "\n* => other"}}}},
	} {
		if got, _ := cutOne(t, c.line, c.columns...); got != c.want {
			t.Errorf("%s: %q, want %q", c.line[:min(len(c.line), 60)], got, c.want)
		}
	}
}

func BenchmarkJSON(b *testing.B) {
	var lines strings.Builder
	for i := range 5000 {
		fmt.Fprintf(&lines, `{"ts":"2026-11-23 10:00:%02d","level":"INFO","trace":"%032x","order":{"id":%d,"kind":"%s","amount":%d.%02d},"tags":["a","b"],"ok":"Y"}`+"\n",
			i%60, i, i, []string{"clothes", "food", "home"}[i%3], i%1000, i%100)
	}
	spec := logrule.Spec{Title: "t", Type: logrule.MinuteMulti, Paths: []string{"/x"}, Time: logrule.TimeRule{Format: logrule.TimeNormal, Column: "at", Timezone: "UTC"},
		Columns: []logrule.Column{{Name: "at", JSON: &logrule.JSONRule{Path: "ts"}}, {Name: "kind", JSON: &logrule.JSONRule{Path: "order.kind"}},
			{Name: "ok", JSON: &logrule.JSONRule{Path: "ok"}}, {Name: "amount", JSON: &logrule.JSONRule{Path: "order.amount"}}},
		GroupBy: []string{"kind", "ok"}, Statistics: []logrule.Statistic{{Kind: logrule.Count}, {Kind: logrule.Sum, Column: "amount"}}}.WithDefaults()
	p, err := Compile(spec)
	if err != nil {
		b.Fatal(err)
	}
	g := NewGroup([]*Task{NewTask(p, TaskOptions{Location: time.UTC})})
	block := []byte(lines.String())
	fs := &FileState{}
	now := time.Date(2026, 11, 23, 10, 1, 0, 0, time.UTC).UnixMilli()
	b.SetBytes(int64(len(block)))
	for b.Loop() {
		g.Process(fs, block, now)
	}
}
