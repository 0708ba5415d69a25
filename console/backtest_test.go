package console_test

import (
	"fmt"
	"strings"
	"testing"

	pharosv1 "github.com/pharos-stack/pharos/proto/pharos/v1"
)

func TestBacktest(t *testing.T) {
	i := start(t)
	c := i.admin()
	c.want(201, "POST", ws+"/monitors", rowTopBody)
	const end = 100 * 60_000
	i.query.set(func(f *fakeQuery) {
		s := &pharosv1.QuerySeries{Labels: map[string]string{"__name__": "fees:max", "app": "default", "station": "north", "host": "h1"}}
		windows := &pharosv1.MonitorWindowsResponse{SettledUntilMs: end}
		for at := int64(0); at < end; at += 60_000 {
			s.TimesMs, s.Values = append(s.TimesMs, at), append(s.Values, float64(at/60_000%10))
			windows.Windows = append(windows.Windows, &pharosv1.WindowState{WindowStartMs: at, WindowMs: 60_000, Settled: true, Completeness: 1})
		}
		f.windows = windows
		f.results = map[string]*pharosv1.QueryResponse{"fees:max": {Type: pharosv1.ResultType_RESULT_TYPE_MATRIX, Series: []*pharosv1.QuerySeries{s}}}
	})
	body := func(spec string, from, to int) string {
		return fmt.Sprintf(`{"spec":%s,"start":%d,"end":%d}`, spec, from, to)
	}
	const rule = `{"title":"High","conditions":[{"monitor":"fees","figure":"max","op":"ge","threshold":8}]}`
	var got struct {
		Checks, All int
		Episodes    []struct {
			FiredMs int64 `json:"fired_ms"`
			Message string
		}
		Trace []struct{ Result string }
	}
	c.want(200, "POST", ws+"/alarm_rules:backtest", body(rule, 20*60_000, 50*60_000)).json(t, &got)
	// Minutes 28, 29, 38, 39 and, checked at its end, 19: fired at the ends of 19, 28, 38 and 48.
	if got.Checks != 31 || got.All != 4 || got.Episodes[1].FiredMs != 29*60_000 || !strings.HasPrefix(got.Episodes[0].Message, "[P2] firing: High") || len(got.Trace) != 31 {
		t.Errorf("%+v", got)
	}
	for _, x := range []struct{ body, field string }{
		{body(rule, 50, 50), "end"},
		{body(rule, 0, 9*86_400_000), "start"},
		{body(`{"title":"High","conditions":[{"monitor":"none","op":"ge","threshold":8}]}`, 0, 60_000), "spec.conditions[0].monitor"},
		{body(`{"title":"High","conditions":[]}`, 0, 60_000), "conditions"},
	} {
		if answer := c.want(422, "POST", ws+"/alarm_rules:backtest", x.body); !strings.Contains(string(answer.body), x.field) {
			t.Errorf("%s: %s", x.body, string(answer.body))
		}
	}
	if list := c.want(200, "GET", ws+"/alarm_rules", nil); strings.Contains(string(list.body), "High") {
		t.Error("the trial made a rule")
	}
}
