package client

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"github.com/pharos-stack/pharos/internal/resource"
)

// Backtest tries an alarm rule on the past.
type Backtest struct {
	Connection
	File  string `short:"f" required:"" help:"YAML file with one AlarmRule, or - for standard input." placeholder:"PATH"`
	Start string `default:"24h" help:"Begin: RFC 3339, Unix seconds, or how long ago."`
	End   string `help:"End. Default now."`
}

// Run prints the alerts that the rule would have raised.
func (b *Backtest) Run(ctx context.Context) error {
	if err := b.resolve(); err != nil {
		return err
	}
	objects, err := readObjects(b.File)
	if err != nil {
		return err
	}
	if len(objects) != 1 || objects[0].Kind != resource.KindAlarmRule {
		return fmt.Errorf("%s has %d resources; give one AlarmRule", b.File, len(objects))
	}
	now := time.Now()
	start, err := parseTime(b.Start, now)
	if err != nil {
		return err
	}
	end, err := parseTime(b.End, now)
	if err != nil {
		return err
	}
	var answer struct {
		Checks, Unknown, Failed, All int
		Failure                      string
		Episodes                     []map[string]any
	}
	var whole json.RawMessage
	body := map[string]any{"spec": json.RawMessage(objects[0].Spec), "start": start.UnixMilli(), "end": end.UnixMilli()}
	if err := b.call(ctx, http.MethodPost, b.ws("/alarm_rules:backtest"), nil, body, &whole); err != nil {
		return err
	}
	if b.Output != "table" {
		var v any
		if err := json.Unmarshal(whole, &v); err != nil {
			return fmt.Errorf("cannot read answer: %w", err)
		}
		return b.printValue(v)
	}
	if err := json.Unmarshal(whole, &answer); err != nil {
		return fmt.Errorf("cannot read answer: %w", err)
	}
	fmt.Fprintf(b.out, "%d alerts in %d checks; %d could not be judged, %d failed\n", answer.All, answer.Checks, answer.Unknown, answer.Failed)
	if answer.Failure != "" {
		fmt.Fprintln(b.out, "the last failure:", answer.Failure)
	}
	if len(answer.Episodes) == 0 {
		return nil
	}
	for _, e := range answer.Episodes {
		for _, name := range []string{"fired_ms", "ended_ms"} {
			if ms, ok := e[name].(float64); ok {
				e[name] = time.UnixMilli(int64(ms)).Format(time.RFC3339)
			}
		}
	}
	return b.print(answer.Episodes, field("FIRED", "fired_ms"), field("ENDED", "ended_ms"), field("CHECKS", "true_checks"), field("MESSAGE", "message"))
}
