package logpipe

import (
	"testing"

	"github.com/pharos-stack/pharos/internal/logrule"
)

// TestUsualRulesGoTheShortWay guards the speed: these rules have to be of the
// kind that is worked on in batches.
func TestUsualRulesGoTheShortWay(t *testing.T) {
	for i, s := range propertySpecs(",")[:6] {
		if NewGroup([]*Task{mustTask(t, s)}).plain == nil {
			t.Errorf("rule %d goes the long way", i)
		}
	}
	translated := shopSpec()
	translated.Columns[1].Translate = &logrule.Translation{Script: "pay => Y\n* => N"}
	translated.Type, translated.GroupBy, translated.ResultColumn, translated.Statistics = logrule.Service, []string{"kind"}, "verb", nil
	if NewGroup([]*Task{mustTask(t, translated)}).plain == nil {
		t.Error("with a translation they go the long way")
	}
	var tasks []*Task
	for _, s := range tenSpecs() {
		tasks = append(tasks, mustTask(t, s))
	}
	if NewGroup(tasks).plain == nil {
		t.Error("together they go the long way")
	}
	top, match := mustTask(t, topSpec(3)), shopSpec()
	match.Columns[0].Regex, match.Columns[0].Split = &logrule.RegexRule{Pattern: `trade,(\w+)`, Group: 1}, nil
	if p := NewGroup(append([]*Task{top, mustTask(t, match)}, tasks...)).plain; p == nil || len(p.runs) != len(tasks) {
		t.Error("beside others they go the long way")
	}
}

// TestBothWaysRememberTheSameTime has lines without a time, and lines whose own can't be used, at the start of blocks
// that one task takes the short way and another the long way.
func TestBothWaysRememberTheSameTime(t *testing.T) {
	usual, top := mustTask(t, shopSpec()), mustTask(t, topSpec(3))
	g, fs := NewGroup([]*Task{top, usual}), FileState{Path: "/x"}
	for _, block := range []string{
		"2026-11-23 10:00:01,1,food,trade,pay,7,Y,1,1.1.1.1,web\n",
		"no time here,2,food,trade,pay,7,Y,1,1.1.1.1,web\n2026-11-23 10:05:01,1,food,trade,pay,7,Y,1,1.1.1.1,web\n",
		"no time here,2,food,trade,pay,7,Y,1,1.1.1.1,web\n",
	} {
		g.Process(&fs, []byte(block), benchNow)
	}
	for name, task := range map[string]*Task{"short": usual, "long": top} {
		if w := task.Windows(); len(w) != 2 || w[0].Counters.Read != 2 || w[1].Counters.Read != 2 {
			t.Errorf("the %s way has %d windows, the first of %+v", name, len(w), w[0].Counters)
		}
	}
}

// TestGBThatLooksLikeAnotherKey has a text in GBK whose bytes are those of
// another key in UTF-8.
func TestGBThatLooksLikeAnotherKey(t *testing.T) {
	s := shopSpec()
	s.Encoding = logrule.EncodingGBK
	task := mustTask(t, s)
	line := func(kind string) string { return "2026-11-23 10:00:01,1," + kind + ",trade,pay,7,Y,1,1.1.1.1,web\n" }
	food := line("\xca\xb3\xc6\xb7") // 食品
	other := line("食品")              // its bytes in GBK: 椋熷搧
	g := NewGroup([]*Task{task})
	g.Process(&FileState{}, []byte(food), benchNow) // the short way finds keys of earlier batches
	g.Process(&FileState{}, []byte(other+food), benchNow)
	if n := task.Windows()[0].Keys(); n != 2 {
		t.Errorf("%d keys, want 2", n)
	}
}
