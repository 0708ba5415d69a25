package monitors

import (
	"context"
	"math"

	"github.com/pharos-stack/pharos/console/api"
	"github.com/pharos-stack/pharos/console/figures"
	"github.com/pharos-stack/pharos/internal/logrule"
	"github.com/pharos-stack/pharos/internal/resource"
	pharosv1 "github.com/pharos-stack/pharos/proto/pharos/v1"
)

// MonitorRows holds the lines, or the largest keys, that windows of a monitor keep.
type MonitorRows struct {
	Columns []KeyColumn `json:"columns" doc:"What the values of key are"`
	// Windows are told whatever the page.
	Windows []RowWindow  `json:"windows" doc:"Windows that have lines, the newest first, at most 1,000"`
	Items   []MonitorRow `json:"items"`
	// Hidden is set for callers who may not read lines.
	Hidden   bool `json:"text_hidden" doc:"Lines are for editors: for others text is empty"`
	Total    int  `json:"total" doc:"Lines of all pages; pages go to line 1,000"`
	Page     int  `json:"page"`
	PageSize int  `json:"page_size"`
}

// RowWindow says of a window how many lines it had and how many it keeps.
type RowWindow struct {
	WindowStartMs int64   `json:"window_start_ms"`
	WindowMs      int64   `json:"window_ms"`
	Count         uint64  `json:"count" doc:"Lines that matched"`
	Kept          uint32  `json:"kept" doc:"Lines that are kept of them"`
	Live          bool    `json:"live" doc:"The window may still change"`
	Completeness  float64 `json:"completeness" doc:"Share of expected agents that reported, 0 to 1"`
	Keys          uint64  `json:"keys" doc:"minute_top: how many keys there were; about so many unless exact"`
	Exact         bool    `json:"exact" doc:"No key was given up: the list is right to the last digit"`
	// Missed is null where the list is exact, and where nothing can be said.
	Missed *float64 `json:"missed" doc:"minute_top, unless exact: the most that a key which isn't listed may weigh; in lines for avg, else in the figure; null: nothing can be said, for there are negative numbers"`
}

// MonitorRow is a line, or one of the largest keys, that a window keeps.
type MonitorRow struct {
	WindowStartMs int64    `json:"window_start_ms"`
	Rank          uint32   `json:"rank" doc:"Place in its window, from 1"`
	Value         float64  `json:"value" doc:"What rows are ordered by; 0 for match"`
	TimeMs        int64    `json:"time_ms"`
	Instance      string   `json:"instance"`
	File          string   `json:"file"`
	Key           []string `json:"key" doc:"Values in the order of columns"`
	Text          string   `json:"text" doc:"The line, masked"`
	Cut           bool     `json:"cut" doc:"The text is only the beginning of the line"`
	More          *float64 `json:"more" doc:"minute_top: what value may lack at most; of avg, lines that are not in it; null: nothing can be said"`
}

type rowsIn struct {
	One
	TimeRange
	Page     int    `query:"page" minimum:"1" default:"1" doc:"Number of the page, from 1"`
	PageSize int    `query:"page_size" minimum:"1" maximum:"200" default:"20" doc:"Rows a page"`
	Sort     string `query:"sort" enum:"-value,-window," doc:"-value: the largest of all windows first; -window: the newest window first, then by rank. Default -value for row_top, else -window"`
}
type rowsOut struct{ Body MonitorRows }

// maxRows is how far pages go.
const maxRows = 1000

func (m *Monitors) rows(ctx context.Context, in *rowsIn) (*rowsOut, error) {
	if err := in.complete(m.Clock()); err != nil {
		return nil, err
	}
	if in.Page > maxRows || in.Page*in.PageSize > maxRows {
		return nil, api.BadField("page", "range_invalid", "goes beyond row 1,000; ask for a shorter time range")
	}
	o, err := m.Resources.Get(ctx, resource.KindLogMonitor, in.Workspace, in.Name)
	if err != nil {
		return nil, err
	}
	spec, err := resource.SpecOf[logrule.Spec](o)
	if err != nil {
		return nil, err
	}
	if !spec.Type.HasList() {
		return nil, api.BadField("name", "keeps_no_lines", "is of type %s, which keeps no lines; row_top, minute_top and match do", spec.Type)
	}
	p, refused := api.Caller(ctx)
	if refused != nil {
		return nil, refused
	}
	order := pharosv1.LineOrder_LINE_ORDER_VALUE
	if in.Sort == "-window" || in.Sort == "" && spec.Type != logrule.RowTop {
		order = pharosv1.LineOrder_LINE_ORDER_WINDOW
	}
	answer, err := m.Query.MonitorLines(ctx, &pharosv1.MonitorLinesRequest{Scope: &pharosv1.Scope{Workspace: in.Workspace}, MonitorId: o.Metadata.ID,
		StartMs: in.Start, EndMs: in.End - 1, Order: order, Offset: int32((in.Page - 1) * in.PageSize), Limit: int32(in.PageSize)})
	if err != nil {
		return nil, err
	}
	// Lines of a log are for those who may edit; others see numbers.
	out := MonitorRows{Columns: []KeyColumn{}, Windows: []RowWindow{}, Items: []MonitorRow{}, Hidden: p.Check(in.Workspace, api.Editor) != nil,
		Total: int(answer.GetTotal()), Page: in.Page, PageSize: in.PageSize}
	for _, g := range spec.GroupBy {
		out.Columns = append(out.Columns, KeyColumn{Name: g, Label: figures.Label(g)})
	}
	for _, w := range answer.GetWindows() {
		out.Windows = append(out.Windows, RowWindow{WindowStartMs: w.GetWindowStartMs(), WindowMs: w.GetWindowMs(), Count: w.GetCount(), Kept: w.GetKept(),
			Live: w.GetLive(), Completeness: w.GetCompleteness(), Keys: w.GetKeys(), Exact: w.Missed == nil, Missed: known(w.Missed)})
	}
	for _, l := range answer.GetLines() {
		row := MonitorRow{WindowStartMs: l.GetWindowStartMs(), Rank: l.GetRank(), Value: l.GetValue(), TimeMs: l.GetTimeMs(),
			Instance: l.GetInstance(), File: l.GetFile(), Key: append([]string{}, l.GetKey()...), Cut: l.GetCut(), More: known(&l.More)}
		if !out.Hidden {
			row.Text = l.GetText()
		}
		out.Items = append(out.Items, row)
	}
	return &rowsOut{Body: out}, nil
}

// known returns a bound, nil for one that says nothing.
func known(bound *float64) *float64 {
	if bound == nil || math.IsInf(*bound, 0) {
		return nil
	}
	return bound
}
