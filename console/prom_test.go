package console_test

import (
	"encoding/json"
	"math"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	pharosv1 "github.com/pharos-stack/pharos/proto/pharos/v1"
)

func promResults() map[string]*pharosv1.QueryResponse {
	return map[string]*pharosv1.QueryResponse{
		"scalar(x)": {Type: pharosv1.ResultType_RESULT_TYPE_SCALAR, Series: []*pharosv1.QuerySeries{{TimesMs: []int64{1500}, Values: []float64{2}}}},
		`"text"`:    {Type: pharosv1.ResultType_RESULT_TYPE_STRING, Text: `a "quoted" one`},
		"trades:count": {Type: pharosv1.ResultType_RESULT_TYPE_VECTOR, Warnings: []string{"careful"}, Series: []*pharosv1.QuerySeries{
			{Labels: map[string]string{"__name__": "trades:count", "city": "x"}, TimesMs: []int64{60000}, Values: []float64{math.Inf(1)}},
			{Labels: map[string]string{"__name__": "trades:count", "city": "y"}, TimesMs: []int64{60123}, Values: []float64{0.1}}}},
		"rate(x[5m])": {Type: pharosv1.ResultType_RESULT_TYPE_MATRIX, Series: []*pharosv1.QuerySeries{
			{TimesMs: []int64{60000, 120000}, Values: []float64{math.NaN(), 1e21}}}},
	}
}

func TestPrometheusAPIHasPrometheusForm(t *testing.T) {
	i := start(t)
	admin := i.admin()
	i.query.set(func(f *fakeQuery) { f.results = promResults() })
	c := admin.makeToken("default", "viewer")
	const api = "/prometheus/api/v1/"
	for path, want := range map[string]string{
		"query?query=scalar(x)&time=1.5": `{"status":"success","data":{"resultType":"scalar","result":[1.500,"2"]}}`,
		"query?query=%22text%22&time=2":  `{"status":"success","data":{"resultType":"string","result":[2,"a \"quoted\" one"]}}`,
		"query?query=trades:count&time=2016-12-13T10:00:14.5Z": `{"status":"success","data":{"resultType":"vector","result":[` +
			`{"metric":{"__name__":"trades:count","city":"x"},"value":[60,"+Inf"]},{"metric":{"__name__":"trades:count","city":"y"},"value":[60.123,"0.1"]}]},"warnings":["careful"]}`,
		"query?query=trades:count&limit=1": `{"status":"success","data":{"resultType":"vector","result":[{"metric":{"__name__":"trades:count","city":"x"},"value":[60,"+Inf"]}]},` +
			`"warnings":["careful","results truncated due to limit"]}`,
		"query_range?query=rate(x%5B5m%5D)&start=60&end=120&step=1m": `{"status":"success","data":{"resultType":"matrix","result":[{"metric":{},"values":[[60,"NaN"],[120,"1e+21"]]}]}}`,
		"series?match[]=trades:count":                                `{"status":"success","data":[{"__name__":"trades:count","city":"x"}]}`,
		"labels":                                                     `{"status":"success","data":["__name__","city"]}`,
		"label/city/values?limit=1":                                  `{"status":"success","data":["city-1"],"warnings":["results truncated due to limit"]}`,
		"metadata?metric=trades:count":                               `{"status":"success","data":{"trades:count":[{"type":"gauge","help":"Trades","unit":""}]}}`,
	} {
		if a := c.want(200, "GET", api+path, nil); string(a.body) != want {
			t.Errorf("%s:\n got %s\nwant %s", path, a.body, want)
		}
	}
	if q := i.query.last; q.GetScope().GetWorkspace() != "default" || q.GetTimeoutMs() == 0 {
		t.Errorf("%v", q)
	}
	for path, want := range map[string][2]string{
		"query?query=nope":       {"bad_data", "unexpected expression"},
		"query":                  {"bad_data", `"query"`},
		"query?query=x&time=abc": {"bad_data", "abc"},
		"query_range?query=x&start=0&end=11001&step=1":   {"bad_data", "11,000"},
		"query_range?query=x&start=5&end=1&step=1":       {"bad_data", "end timestamp"},
		"query_range?query=x&start=1&end=5&step=0":       {"bad_data", "zero or negative"},
		"query_range?query=x&start=1&end=5&step=1parsec": {"bad_data", "valid duration"},
		"series":                 {"bad_data", "match[]"},
		"labels?limit=-1":        {"bad_data", "limit"},
		"query?query=x&time=NaN": {"bad_data", "time"},
	} {
		var e struct{ Status, ErrorType, Error string }
		c.want(400, "GET", api+path, nil).json(t, &e)
		if e.Status != "error" || e.ErrorType != want[0] || !strings.Contains(e.Error, want[1]) {
			t.Errorf("%s: %+v", path, e)
		}
	}
	// A form, and a browser's session that names its workspace; no change, so no CSRF header.
	form := url.Values{"query": {"scalar(x)"}, "time": {"1.5"}, "workspace": {"default"}}.Encode()
	for _, caller := range []*client{c, admin} {
		if a := caller.want(200, "POST", api+"query", form, "Content-Type", "application/x-www-form-urlencoded", "X-Pharos-Csrf", ""); !strings.Contains(string(a.body), `[1.500,"2"]`) {
			t.Errorf("%s", a.body)
		}
	}
	i.anonymous().want(401, "GET", api+"query?query=x", nil)
	admin.want(404, "GET", api+"labels?workspace=nowhere", nil)
	admin.want(404, "GET", api+"labels", nil, "X-Pharos-Workspace", "nowhere")
	if a := c.want(200, "GET", api+"status/buildinfo", nil); !strings.Contains(string(a.body), `"version":"`) {
		t.Errorf("%s", a.body)
	}
	c.want(404, "GET", api+"status/flags", nil)
}

// What Grafana's Prometheus data source sends: forms by POST, label names for a
// selector, and questions about what the server can do.
func TestGrafanasRequests(t *testing.T) {
	i := start(t)
	i.query.set(func(f *fakeQuery) {
		f.results = promResults()
		f.results["1+1"] = &pharosv1.QueryResponse{Type: pharosv1.ResultType_RESULT_TYPE_SCALAR, Series: []*pharosv1.QuerySeries{{TimesMs: []int64{1000}, Values: []float64{2}}}}
	})
	c := i.admin().makeToken("default", "viewer")
	const matrix, form = `{"status":"success","data":{"resultType":"matrix","result":[{"metric":{},"values":[[60,"NaN"],[120,"1e+21"]]}]}}`, "application/x-www-form-urlencoded"
	for _, r := range []struct{ method, path, form, want string }{
		{"POST", "query", "query=1%2B1&time=1", `{"status":"success","data":{"resultType":"scalar","result":[1,"2"]}}`}, // Save & test
		{"POST", "query_range", "query=rate(x%5B5m%5D)&start=60&end=120&step=15", matrix},
		{"POST", "query_range", "query=rate(x%5B5m%5D)&start=60.5&end=120.75&step=0.25", matrix},
		{"GET", "query_range?query=rate(x%5B5m%5D)&start=60&end=120&step=15&timeout=60s", "", matrix},
		{"POST", "labels", "match%5B%5D=trades%3Acount&start=1&end=2", `{"status":"success","data":["__name__","city"]}`},
		{"GET", "labels?match[]=trades:count&start=1&end=2", "", `{"status":"success","data":["__name__","city"]}`},
		{"GET", "label/__name__/values?match[]=trades:count&start=1&end=2&limit=40000", "", `{"status":"success","data":["__name__-1","__name__-2"]}`},
		{"POST", "series", "match%5B%5D=trades%3Acount&start=1&end=2&limit=40000", `{"status":"success","data":[{"__name__":"trades:count","city":"x"}]}`},
		{"GET", "metadata", "", `{"status":"success","data":{"trades:count":[{"type":"gauge","help":"Trades","unit":""}]}}`},
		{"GET", "metadata?limit=1", "", `{"status":"success","data":{"trades:count":[{"type":"gauge","help":"Trades","unit":""}]}}`},
		{"GET", "rules", "", `{"status":"success","data":{"groups":[]}}`},
		{"GET", "rules?type=alert", "", `{"status":"success","data":{"groups":[]}}`},
		{"POST", "query_exemplars", "query=x&start=1&end=2", `{"status":"success","data":[]}`},
		{"GET", "query_exemplars?query=x&start=1&end=2", "", `{"status":"success","data":[]}`},
	} {
		var body any
		if r.form != "" {
			body = r.form
		}
		if a := c.want(200, r.method, "/prometheus/api/v1/"+r.path, body, "Content-Type", form); string(a.body) != r.want || a.header.Get("Content-Type") != "application/json" {
			t.Errorf("%s %s:\n got %s\nwant %s", r.method, r.path, a.body, r.want)
		}
	}
	if i.query.last.GetStepMs() != 15000 || i.query.last.GetTimeoutMs() != 30000 {
		t.Errorf("step and timeout: %v", i.query.last)
	}
	var build struct {
		Status string
		Data   struct{ Version, GoVersion string }
	}
	if c.want(200, "GET", "/prometheus/api/v1/status/buildinfo", nil).json(t, &build); build.Status != "success" || !strings.HasPrefix(build.Data.Version, "3.") || build.Data.GoVersion == "" {
		t.Errorf("%+v", build)
	}
	// Without rights everything is refused in the same form, also what has no content.
	for _, path := range []string{"rules", "query_exemplars", "metadata", "labels"} {
		var e struct{ Status, ErrorType string }
		if i.anonymous().want(401, "GET", "/prometheus/api/v1/"+path, nil).json(t, &e); e.Status != "error" || e.ErrorType == "" {
			t.Errorf("%s without a token: %+v", path, e)
		}
	}
}

func TestATokenQueriesOnlyItsWorkspace(t *testing.T) {
	i := start(t)
	admin := i.admin()
	admin.want(201, "POST", "/api/v1/workspaces", map[string]string{"name": "other", "title": "Other"})
	i.query.set(func(f *fakeQuery) { f.results = promResults() })
	admin.makeToken("other", "viewer").want(200, "GET", "/prometheus/api/v1/query?query=trades:count&workspace=default", nil, "X-Pharos-Workspace", "default")
	if got := i.query.last.GetScope().GetWorkspace(); got != "other" {
		t.Errorf("a token of other asked about %q", got)
	}
	admin.want(200, "GET", "/prometheus/api/v1/query?query=trades:count", nil)
	if got := i.query.last.GetScope().GetWorkspace(); got != "default" {
		t.Errorf("a session asked about %q", got)
	}
}

func TestPromtoolWorks(t *testing.T) {
	promtool, err := exec.LookPath("promtool")
	if err != nil {
		t.Skip("promtool is not installed")
	}
	i := start(t)
	i.query.set(func(f *fakeQuery) { f.results = promResults() })
	token := i.admin().makeToken("default", "viewer").token
	// Debian's promtool has no flag for a bearer token; the token goes as the password of basic authentication.
	flags, server := []string{"query"}, strings.Replace(i.url, "http://", "http://token:"+token+"@", 1)+"/prometheus"
	if help, _ := exec.CommandContext(t.Context(), promtool, "query", "--help").CombinedOutput(); strings.Contains(string(help), "http.config.file") {
		config := filepath.Join(t.TempDir(), "http.yml")
		if err := os.WriteFile(config, []byte("authorization:\n  credentials: "+token+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		flags, server = append(flags, "--http.config.file="+config), i.url+"/prometheus"
	}
	for want, args := range map[string][]string{
		`trades:count{city="y"} => 0.1`: {"instant", server, "trades:count"},
		"1000000000000000000000 @[120]": {"range", "--start=60", "--end=120", "--step=1m", server, "rate(x[5m])"},
		`city="x"}`:                     {"series", "--match=trades:count", server},
		"city-1":                        {"labels", server, "city"},
	} {
		command := exec.CommandContext(t.Context(), promtool, append(flags, args...)...)
		out, err := command.CombinedOutput()
		if err != nil || !strings.Contains(string(out), want) {
			t.Errorf("promtool query %v: %v: %s", args, err, out)
		}
	}
}

func TestPointsAreExact(t *testing.T) {
	i := start(t)
	c := i.admin()
	at := time.Date(2026, 11, 23, 10, 0, 0, 123e6, time.UTC)
	values := []float64{0, -0.5, 1e-9, 123456789.123, 1 << 53, math.MaxFloat64}
	i.query.set(func(f *fakeQuery) {
		s := &pharosv1.QuerySeries{}
		for n, v := range values {
			s.TimesMs, s.Values = append(s.TimesMs, at.UnixMilli()+int64(n)), append(s.Values, v)
		}
		f.results = map[string]*pharosv1.QueryResponse{"x": {Type: pharosv1.ResultType_RESULT_TYPE_MATRIX, Series: []*pharosv1.QuerySeries{s}}}
	})
	var reply struct {
		Data struct {
			Result []struct{ Values [][2]json.RawMessage }
		}
	}
	c.want(200, "GET", "/prometheus/api/v1/query_range?query=x&start=1&end=2&step=1", nil).json(t, &reply)
	for n, p := range reply.Data.Result[0].Values {
		var text string
		var v float64
		if json.Unmarshal(p[1], &text) != nil || json.Unmarshal([]byte(text), &v) != nil || v != values[n] {
			t.Errorf("value %v became %s", values[n], p[1])
		}
		if want := "1795428000.12" + string(rune('3'+n)); string(p[0]) != want {
			t.Errorf("time %s, want %s", p[0], want)
		}
	}
}
