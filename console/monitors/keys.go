package monitors

import (
	"context"
	"math"
	"slices"
	"strings"

	"github.com/pharos-stack/pharos/console/api"
	"github.com/pharos-stack/pharos/console/figures"
	"github.com/pharos-stack/pharos/internal/logrule"
	"github.com/pharos-stack/pharos/internal/resource"
	pharosv1 "github.com/pharos-stack/pharos/proto/pharos/v1"
)

// KeyTable holds a monitor's figures by key over a time range.
type KeyTable struct {
	Columns []KeyColumn `json:"columns" doc:"What the keys are made of"`
	Figures []KeyFigure `json:"figures"`
	// TotalRow is over all keys, also those beyond the key limit.
	TotalRow KeyRow   `json:"total_row" doc:"Over all keys, also those beyond the key limit; its key is __total__"`
	Items    []KeyRow `json:"items"`
	Total    int      `json:"total" doc:"Keys of all pages"`
	Page     int      `json:"page"`
	PageSize int      `json:"page_size"`
}

// KeyColumn is a part of the key.
type KeyColumn struct {
	Name  string `json:"name" doc:"As in group_by"`
	Label string `json:"label" doc:"Label in series"`
}

// KeyFigure is a column of figures.
type KeyFigure struct {
	Name string           `json:"name"`
	Kind logrule.StatKind `json:"kind"`
	Unit string           `json:"unit"`
}

// KeyRow is a key with its figures.
type KeyRow struct {
	Key     []string   `json:"key" doc:"Values in the order of columns"`
	Figures []*float64 `json:"figures" doc:"In the order of figures; null where there is none"`
}

type keysIn struct {
	One
	api.ListParams
	TimeRange
}
type keysOut struct{ Body KeyTable }

func (m *Monitors) keys(ctx context.Context, in *keysIn) (*keysOut, error) {
	if err := in.complete(m.Clock()); err != nil {
		return nil, err
	}
	o, err := m.Resources.Get(ctx, resource.KindLogMonitor, in.Workspace, in.Name)
	if err != nil {
		return nil, err
	}
	spec, err := resource.SpecOf[logrule.Spec](o)
	if err != nil {
		return nil, err
	}
	if spec.Type.HasList() {
		return nil, api.BadField("name", "keeps_lines", "is of type %s, which has no keys; ask for its rows", spec.Type)
	}
	q := &keyQuery{m: m, workspace: in.Workspace, key: o.Metadata.Name, spec: spec, start: in.Start, end: in.End}
	table := KeyTable{Columns: []KeyColumn{}, Figures: []KeyFigure{}}
	for _, g := range spec.GroupBy {
		q.labels = append(q.labels, figures.Label(g))
		table.Columns = append(table.Columns, KeyColumn{Name: g, Label: figures.Label(g)})
	}
	for _, st := range spec.Statistics {
		table.Figures = append(table.Figures, KeyFigure{Name: st.Name, Kind: st.Kind, Unit: st.Unit})
	}
	var rows []KeyRow
	if rows, table.TotalRow, err = q.rows(ctx); err != nil {
		return nil, err
	}
	sort := in.Sort
	if sort == "" {
		sort = "-" + spec.Statistics[0].Name
	}
	page, err := api.Paginate(rows, api.ListParams{Page: in.Page, PageSize: in.PageSize, Sort: sort, Q: in.Q},
		func(r KeyRow) string { return strings.Join(r.Key, " ") }, keyColumns(spec))
	if err != nil {
		return nil, err
	}
	table.Items, table.Total, table.Page, table.PageSize = page.Items, page.Total, page.Page, page.PageSize
	return &keysOut{Body: table}, nil
}

func keyColumns(spec logrule.Spec) api.Columns[KeyRow] {
	columns := api.Columns[KeyRow]{"key": func(a, b KeyRow) int { return slices.Compare(a.Key, b.Key) }}
	for i, st := range spec.Statistics {
		columns[st.Name] = api.By(func(r KeyRow) float64 {
			if r.Figures[i] == nil {
				return math.Inf(-1)
			}
			return *r.Figures[i]
		})
	}
	return columns
}

// keyQuery collects a monitor's figures over a time range.
type keyQuery struct {
	m              *Monitors
	workspace, key string
	spec           logrule.Spec
	labels         []string
	start, end     int64
}

// rows returns the keys with their figures, and the row over all keys.
func (q *keyQuery) rows(ctx context.Context) ([]KeyRow, KeyRow, error) {
	n := len(q.spec.Statistics)
	total := KeyRow{Key: []string{logrule.TotalKey}, Figures: make([]*float64, n)}
	byKey := map[string]*KeyRow{}
	for i, st := range q.spec.Statistics {
		if len(q.labels) > 0 {
			found, err := q.ask(ctx, q.expr(st, false))
			if err != nil {
				return nil, total, err
			}
			for _, s := range found {
				key := make([]string, len(q.labels))
				for j, label := range q.labels {
					key[j] = s.GetLabels()[label]
				}
				id := strings.Join(key, "\x00")
				if byKey[id] == nil {
					byKey[id] = &KeyRow{Key: key, Figures: make([]*float64, n)}
				}
				byKey[id].Figures[i] = number(s)
			}
		}
		found, err := q.ask(ctx, q.expr(st, len(q.labels) > 0))
		if err != nil {
			return nil, total, err
		}
		if len(found) > 0 {
			total.Figures[i] = number(found[0])
		}
	}
	rows := make([]KeyRow, 0, len(byKey))
	for _, r := range byKey {
		rows = append(rows, *r)
	}
	slices.SortFunc(rows, func(a, b KeyRow) int { return slices.Compare(a.Key, b.Key) })
	return rows, total, nil
}

// number returns the last value of a series, nil for none or one that JSON can't carry.
func number(s *pharosv1.QuerySeries) *float64 {
	if len(s.GetValues()) == 0 {
		return nil
	}
	v := s.GetValues()[len(s.GetValues())-1]
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return nil
	}
	return &v
}

// expr returns the PromQL of one figure over the whole range.
func (q *keyQuery) expr(st logrule.Statistic, total bool) string {
	by := q.labels
	if total || by == nil {
		by = []string{}
	}
	return figures.Figure{Monitor: q.key, Statistic: st, Total: total, By: by, RangeMs: q.end - q.start}.Expr()
}

func (q *keyQuery) ask(ctx context.Context, expr string) ([]*pharosv1.QuerySeries, error) {
	// A range selector leaves out its first moment: one millisecond earlier it
	// holds exactly the windows that begin in [start, end).
	at := q.end - 1
	answer, err := q.m.Query.Query(ctx, &pharosv1.QueryRequest{Scope: &pharosv1.Scope{Workspace: q.workspace}, Expr: expr, StartMs: at, EndMs: at})
	if err != nil {
		return nil, err
	}
	return answer.GetSeries(), nil
}
