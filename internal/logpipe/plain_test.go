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
	var tasks []*Task
	for _, s := range tenSpecs() {
		tasks = append(tasks, mustTask(t, s))
	}
	if NewGroup(tasks).plain == nil {
		t.Error("together they go the long way")
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
