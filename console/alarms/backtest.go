package alarms

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/pharos-stack/pharos/console/api"
	"github.com/pharos-stack/pharos/internal/alarmrule"
	"github.com/pharos-stack/pharos/internal/alarmtrial"
	"github.com/pharos-stack/pharos/internal/resource"
)

// backtestTime bounds how long a backtest may take.
const backtestTime = 2 * time.Minute

// Backtest says which rule is to be tried on what time.
type Backtest struct {
	Spec  alarmrule.Spec `json:"spec" doc:"The rule; it need not be saved"`
	Start int64          `json:"start" minimum:"0" doc:"Unix milliseconds; checks from here on"`
	End   int64          `json:"end" minimum:"0" doc:"Unix milliseconds; checks up to here, at most 8 days after start"`
}

type backtestIn struct {
	api.InWorkspace
	Language string `header:"Accept-Language" doc:"Of messages: en or zh"`
	Body     Backtest
}
type backtestOut struct{ Body alarmtrial.Outcome }

// backtest tells what a rule would have done. Nothing is stored or sent.
func (a *Alarms) backtest(ctx context.Context, in *backtestIn) (*backtestOut, error) {
	b := in.Body
	switch {
	case b.End <= b.Start:
		return nil, api.BadField("end", "range_invalid", "%d is not after start %d", b.End, b.Start)
	case b.End-b.Start > alarmtrial.MaxSpan.Milliseconds():
		return nil, api.BadField("start", "range_invalid", "the range is longer than 8 days; give a later start")
	}
	spec := b.Spec.WithDefaults()
	text, err := json.Marshal(spec)
	if err != nil {
		return nil, fmt.Errorf("cannot write spec: %w", err)
	}
	if err := a.Resources.Validate(ctx, resource.Object{APIVersion: resource.APIVersion, Kind: resource.KindAlarmRule,
		Metadata: resource.Metadata{Name: "backtest", Workspace: in.Workspace}, Spec: text}); err != nil {
		return nil, err
	}
	monitors, err := a.Resources.List(ctx, resource.KindLogMonitor, in.Workspace)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, backtestTime)
	defer cancel()
	language := "en"
	if api.PrefersChinese(in.Language) {
		language = "zh"
	}
	out, err := a.Try(ctx, alarmtrial.Trial{Query: a.Query, Workspace: in.Workspace, Monitors: monitors, Spec: spec, FromMs: b.Start, ToMs: min(b.End, a.Clock().UnixMilli()), Language: language})
	if err != nil {
		return nil, err
	}
	return &backtestOut{Body: *out}, nil
}
