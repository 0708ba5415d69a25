package window

import (
	"regexp"

	"github.com/pharos-stack/pharos/compute/store"
	"github.com/pharos-stack/pharos/internal/logrule"
)

// Rollup says how a series of the monitor becomes one of five minutes or an
// hour; ok is false when it can't be, since its values don't merge.
func (p *Plan) Rollup(name string) (r store.Rollup, ok bool) {
	r, ok = p.rollups[name]
	return r, ok
}

// Matchers select all series of the monitor, whatever definition they came from.
func (p *Plan) Matchers() []store.Matcher {
	out := []store.Matcher{{Type: store.MatchRegex, Name: store.MetricName, Value: regexp.QuoteMeta(p.Key) + ":.*"}}
	for _, l := range p.fixed {
		out = append(out, store.Matcher{Type: store.MatchEqual, Name: l.Name, Value: l.Value})
	}
	return out
}

// rollUp fills the table of Rollup.
func (p *Plan) rollUp() {
	suffixes := []string{""}
	if p.Multi {
		suffixes = append(suffixes, ":total")
	}
	for _, suffix := range suffixes {
		for _, f := range p.figures {
			over, under, scale, ok := f.stat.Parts()
			switch {
			case ok:
				over, under = f.name+over+suffix, f.name+under+suffix
				p.rollups[f.name+suffix] = store.Rollup{Kind: store.RollupRatio, Over: over, Under: under, Scale: scale}
				p.rollups[over] = store.Rollup{Kind: store.RollupSum}
				p.rollups[under] = store.Rollup{Kind: store.RollupSum}
			case !f.stat.Kind.Mergeable():
			case f.stat.Kind.Additive():
				p.rollups[f.name+suffix] = store.Rollup{Kind: store.RollupSum}
			case f.stat.Kind == logrule.Min:
				p.rollups[f.name+suffix] = store.Rollup{Kind: store.RollupMin}
			default:
				p.rollups[f.name+suffix] = store.Rollup{Kind: store.RollupMax}
			}
		}
	}
	for _, c := range companions {
		p.rollups[p.Key+":"+c.suffix] = store.Rollup{Kind: c.rollup}
	}
}
