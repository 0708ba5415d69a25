package logpipe

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pharos-stack/pharos/internal/logrule"
)

func TestNothingIsAllocatedPerLine(t *testing.T) {
	between := shopSpec()
	between.Columns[0] = logrule.Column{Name: "kind", Between: &logrule.BetweenRule{Left: ",", LeftIndex: 2, Right: ","}}
	regex := shopSpec()
	regex.Columns[0] = logrule.Column{Name: "kind", Regex: &logrule.RegexRule{Pattern: `^[^,]*,[^,]*,([^,]*)`, Group: 1}}
	for name, s := range map[string]logrule.Spec{"split": shopSpec(), "between": between, "regex": regex} {
		log := shopLog(64<<10, 1000)
		junk := bytes.ReplaceAll(log[:16<<10], []byte(","), []byte(";"))
		gb := bytes.ReplaceAll(log, []byte("food"), []byte("\xca\xb3\xc6\xb7"))
		for kind, block := range map[string][]byte{"good": log, "junk": append(junk, log...), "gb": gb} {
			task := mustTask(t, s)
			g := NewGroup([]*Task{task})
			fs := FileState{}
			g.Process(&fs, block, benchNow)
			if n := testing.AllocsPerRun(5, func() { g.Process(&fs, block, benchNow) }); n > 2 {
				t.Errorf("%s %s: %v allocations for %d lines", name, kind, n, bytes.Count(block, []byte("\n")))
			}
		}
	}
}

func TestSameBytesSameTables(t *testing.T) {
	log := []byte(randomLines(rand.New(rand.NewPCG(5, 5)), 500, ",", true))
	var tables [2]string
	for i, size := range []int{len(log), 700} {
		task := mustTask(t, propertySpecs(",")[0])
		g := NewGroup([]*Task{task})
		fs := FileState{}
		for rest := log; len(rest) > 0; {
			n := bytes.IndexByte(rest[min(size, len(rest))-1:], '\n')
			n = min(size+n, len(rest))
			g.Process(&fs, rest[:n], propertyNow.UnixMilli())
			rest = rest[n:]
		}
		for _, w := range task.Windows() {
			tables[i] += fmt.Sprintf("%d %x %+v\n", w.StartMs, w.AppendTable(nil), w.Counters)
		}
		tables[i] += fmt.Sprintf("%x", fs.AppendBinary(nil))
	}
	if tables[0] != tables[1] {
		t.Errorf("tables depend on the blocks:\n%s\n%s", tables[0], tables[1])
	}
}

func TestForgottenWindowOpensAgain(t *testing.T) {
	task := mustTask(t, shopSpec())
	g := NewGroup([]*Task{task})
	fs := FileState{}
	line := []byte("2026-11-23 10:00:01,1,food,trade,pay,7,Y,1,1.1.1.1,web\n")
	g.Process(&fs, line, benchNow)
	w := task.Windows()[0]
	w.Touched = false
	g.Process(&fs, line, benchNow)
	if !w.Touched || w.Counters.Matched != 2 {
		t.Errorf("window %+v", w)
	}
	task.Forget(w.StartMs)
	if len(task.Windows()) != 0 {
		t.Fatal("the window is still there")
	}
	g.Process(&fs, line, benchNow)
	if again := task.Windows(); len(again) != 1 || again[0] == w || again[0].Counters.Matched != 1 {
		t.Errorf("windows %+v", again)
	}
	if c := task.Counters(); c.Matched != 3 || c.Read != 3 {
		t.Errorf("counters %+v", c)
	}
	if task.Windows()[0].MemoryBytes() < 100 {
		t.Error("a window takes memory")
	}
}

func TestSetProgram(t *testing.T) {
	s := shopSpec()
	task := mustTask(t, s)
	g := NewGroup([]*Task{task})
	fs := FileState{}
	line := []byte("2026-11-23 10:00:01,1,food,trade,pay,7,Y,1,1.1.1.1,web\n")
	g.Process(&fs, line, benchNow)
	s.Filters.Black = []logrule.FilterRow{{Column: "kind", Values: []string{"food"}}}
	if err := task.SetProgram(mustTask(t, s).Program()); err != nil {
		t.Fatal(err)
	}
	g.Process(&fs, line, benchNow)
	if c := task.Counters(); c.Matched != 1 || c.Filtered != 1 {
		t.Errorf("counters %+v", c)
	}
	s.Statistics = s.Statistics[:1]
	if err := task.SetProgram(mustTask(t, s).Program()); err == nil {
		t.Error("a program of another layout is accepted")
	}
}

func TestLongLineIsCut(t *testing.T) {
	task := mustTask(t, shopSpec())
	line := "2026-11-23 10:00:01,1,food,trade,pay,7,Y," + strings.Repeat("x", logrule.MaxLine)
	NewGroup([]*Task{task}).Process(&FileState{}, []byte(line), benchNow)
	if c := task.Counters(); c.Cut != 1 || c.Matched != 1 {
		t.Errorf("counters %+v", c)
	}
}

func TestEncodingIsFoundInTheLines(t *testing.T) {
	s := shopSpec()
	task := mustTask(t, s)
	g := NewGroup([]*Task{task})
	fs := FileState{}
	ascii := "2026-11-23 10:00:01,1,food,trade,pay,7,Y,1,1.1.1.1,web\n"
	either := strings.Replace(ascii, "food", "\xca\xb3\xc6\xb7", 1) // 食品, or letters of UTF-8
	g.Process(&fs, []byte(strings.Repeat(either, 9)), benchNow)
	if fs.Encoding != "" || task.Counters().Undecodable > 0 {
		t.Errorf("encoding %q found in what may be either", fs.Encoding)
	}
	gb := strings.Replace(either, "trade", "\xbd\xbb\xd2\xd7\xb5\xc4", 1) // 交易的
	for i := range 8 {
		if fs.Encoding != "" {
			t.Fatalf("decided after %d lines", i)
		}
		g.Process(&fs, []byte(ascii+gb), benchNow)
	}
	if fs.Encoding != logrule.EncodingGB18030 {
		t.Errorf("encoding %q", fs.Encoding)
	}
	utf8 := strings.Replace(ascii, "food", "食品", 1)
	fs = FileState{}
	g.Process(&fs, []byte(strings.Repeat(utf8, 8)), benchNow)
	if fs.Encoding != logrule.EncodingUTF8 {
		t.Errorf("encoding %q", fs.Encoding)
	}
	if n := task.Windows()[0].Keys(); n != 2 {
		t.Errorf("%d keys: the same text in two encodings is one", n)
	}
}

func TestDaylightSaving(t *testing.T) {
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	p := newTimeParser(logrule.TimeRule{Format: logrule.TimeNormal}, berlin)
	for at := time.Date(2026, 3, 27, 0, 0, 0, 0, time.UTC); at.Year() < 2027; at = at.Add(17 * time.Minute) {
		text := at.Format("2006-01-02 15:04:05")
		want, _ := time.ParseInLocation("2006-01-02 15:04:05", text, berlin)
		if ms, ok := p.sec([]byte(text), 0); !ok || ms != want.UnixMilli() {
			t.Fatalf("%s is %d, want %d", text, ms, want.UnixMilli())
		}
	}
}

func TestDetect(t *testing.T) {
	for want, line := range map[logrule.TimeFormat]string{
		logrule.TimeNormal: "2016-12-13 10:00:14 x", logrule.TimeApache: "[08/May/2017:01:13:52 +0800] x", logrule.TimeLong: "1476064860000,x",
		logrule.TimeShortLong: "1476064860 x", logrule.TimeMonthFirst: "May 08 01:13:52 x", logrule.TimeRevert: "05-25-2017 18:28:42", logrule.TimeMonthFirst2: "May 08 2017 01:13:52",
		logrule.TimeISO8601: "2016-12-13T10:00:14.5+08:00 x"} {
		if got := DetectTime([]string{line, "\tat x", line, ""}); got != want {
			t.Errorf("%q: %q, want %q", line, got, want)
		}
	}
	if got := DetectTime([]string{"none", "here"}); got != "" {
		t.Errorf("found %q in nothing", got)
	}
	for want, lines := range map[string][]string{",": {"2016-12-13 10:00:14,a,b c", "2016-12-13 10:00:14,a b,c"}, `\t`: {"a\tb, c\td", "a\tb\td e"}, "|": {"1|2 3|4", "1|2|4"}, "": {"x", "y"}} {
		if got := DetectDelimiter(lines); got != want {
			t.Errorf("%q: %q, want %q", lines, got, want)
		}
	}
	gb := []byte("\xca\xb3\xc6\xb7,\xca\xb3\xc6\xb7")
	if got := DetectEncoding(gb); got != logrule.EncodingGB18030 {
		t.Errorf("GBK is %q", got)
	}
	if got := DetectEncoding([]byte("食品食")[:8]); got != logrule.EncodingUTF8 {
		t.Errorf("UTF-8 is %q", got)
	}
}

// What is found within brackets is what the pipeline then cuts and reads.
func TestDetectBracketedTime(t *testing.T) {
	for _, c := range []struct {
		line   string
		format logrule.TimeFormat
		left   int
		at     string
	}{
		{`10.0.0.1 - bob [08/May/2017:01:13:52 +0800] "GET /a[1] HTTP/1.1" 200 12`, logrule.TimeApache, 1, "2017-05-07T17:13:52Z"},
		{`10.0.0.1 [x] [2016-12-13 10:00:14] y`, logrule.TimeNormal, 2, "2016-12-13T10:00:14Z"},
		{`INFO [2016-12-13T10:00:14.5+08:00] y`, logrule.TimeISO8601, 1, "2016-12-13T02:00:14.5Z"},
		{`INFO [1476064860] y`, "", 0, ""},
		{`INFO [2016-12-13 10:00:14`, "", 0, ""},
		{`INFO y`, "", 0, ""},
	} {
		f, rule := DetectBracketedTime([]string{c.line, "", "\tat x", c.line})
		if f != c.format || (rule == nil) != (c.format == "") {
			t.Errorf("%q: %q %+v", c.line, f, rule)
			continue
		}
		if rule == nil {
			continue
		}
		p, err := Compile(logrule.Spec{Title: "x", Type: logrule.Minute, Paths: []string{"/x"}, Window: logrule.Duration(time.Minute), Time: logrule.TimeRule{Format: f, Column: "time", Timezone: "UTC"},
			Columns: []logrule.Column{{Name: "time", Between: rule}}, Statistics: []logrule.Statistic{{Kind: logrule.Count}}})
		if err != nil {
			t.Fatal(err)
		}
		want, _ := time.Parse(time.RFC3339Nano, c.at)
		if got := p.Explain(&FileState{}, []byte(c.line), want.UnixMilli(), time.UTC); rule.LeftIndex != c.left || got.TimeMs != want.UnixMilli() {
			t.Errorf("%q: bracket %d, time %d, want %d, %d", c.line, rule.LeftIndex, got.TimeMs, c.left, want.UnixMilli())
		}
	}
}

func TestFileStateCodec(t *testing.T) {
	fs := FileState{Encoding: logrule.EncodingGB18030, Evidence: -3, LastTimes: []LastTime{{1, 2}, {3, -4}}}
	b := append(fs.AppendBinary(nil), "rest"...)
	got, rest, err := DecodeFileState(b)
	if err != nil || string(rest) != "rest" || got.Encoding != fs.Encoding || got.Evidence != fs.Evidence || !slices.Equal(got.LastTimes, fs.LastTimes) {
		t.Errorf("%+v %q %v", got, rest, err)
	}
	for i := range len(b) - 4 {
		if _, _, err := DecodeFileState(b[:i]); err == nil {
			t.Errorf("%d bytes are enough", i)
		}
	}
}

func TestTaskID(t *testing.T) {
	s := shopSpec().WithDefaults()
	id := logrule.TaskID("mon_1", s)
	if !strings.HasPrefix(id, "mon_1/") || len(id) != len("mon_1/")+8 {
		t.Fatalf("id %q", id)
	}
	same := s
	same.Filters.Black = []logrule.FilterRow{{Column: "kind", Values: []string{"food"}}}
	same.Statistics = append(slices.Clone(s.Statistics), logrule.Statistic{Kind: logrule.Max, Column: "fee", Name: "max"})
	if logrule.TaskID("mon_1", same) != id {
		t.Error("filters and kinds of figures change the task")
	}
	other := s
	other.GroupBy = []string{"verb", "kind"}
	if logrule.TaskID("mon_1", other) == id {
		t.Error("the order of the key does not change the task")
	}
}
