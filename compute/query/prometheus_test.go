package query

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/pharos-stack/pharos/compute/store"
	pharosv1 "github.com/pharos-stack/pharos/proto/pharos/v1"
)

const prometheusBinary = "/usr/bin/prometheus"

// TestSameAsPrometheus loads the same samples into Pharos and into a real
// Prometheus and compares the answers to every expression of
// testdata/expressions.txt, at one moment and over a range.
func TestSameAsPrometheus(t *testing.T) {
	if _, err := os.Stat(prometheusBinary); err != nil {
		t.Skipf("SKIPPED: comparison with Prometheus: %s is not installed (Debian package prometheus)", prometheusBinary)
	}
	b := newBench(t, Options{})
	base := time.Now().Add(-6 * time.Hour).Truncate(time.Hour).UnixMilli()
	samples := sampleData(base)
	if err := b.store.WriteSamples(context.Background(), samples); err != nil {
		t.Fatal(err)
	}
	address := startPrometheus(t, samples)

	same, differ := readExpressions(t)
	if len(same) < 100 {
		t.Errorf("only %d expressions are compared", len(same))
	}
	// 20 s after a minute no sample (7 s after a quarter) and no step of a subquery is due.
	moment := base + 100*minute + 20_000
	for _, expr := range same {
		theirs := askPrometheus(t, address, expr, moment, moment, 0)
		ours := askPharos(t, b, expr, moment, moment, 0)
		if diff := compare(theirs, ours); diff != "" {
			t.Errorf("%s: %s", expr, diff)
		}
		if strings.HasPrefix(expr, "sort") && !slices.Equal(theirs.order, ours.order) {
			t.Errorf("%s: order %v, want %v", expr, ours.order, theirs.order)
		}
		if theirs.kind == "matrix" { // a range selector or subquery: not for a range query
			continue
		}
		for _, step := range []int64{minute, 135_000} {
			start := base + 40*minute + 20_000
			end := start + 60*minute
			if diff := compare(askPrometheus(t, address, expr, start, end, step), askPharos(t, b, expr, start, end, step)); diff != "" {
				t.Errorf("%s, every %d s: %s", expr, step/1000, diff)
			}
		}
	}
	moment = base + 100*minute
	for _, expr := range differ {
		if compare(askPrometheus(t, address, expr, moment, moment, 0), askPharos(t, b, expr, moment, moment, 0)) == "" {
			t.Errorf("%s: said to differ, but does not", expr)
		}
	}
	t.Logf("%d expressions compared, %d known to differ", len(same), len(differ))
}

// readExpressions reads the expressions that must be answered alike and those that must not.
func readExpressions(t *testing.T) (same, differ []string) {
	t.Helper()
	f, err := os.Open("testdata/expressions.txt")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		line := strings.TrimSpace(lines.Text())
		if rest, found := strings.CutPrefix(line, "differs: "); found {
			expr, why, _ := strings.Cut(rest, " | ")
			if why == "" {
				t.Errorf("no reason why %s differs", expr)
			}
			differ = append(differ, expr)
		} else if line != "" && !strings.HasPrefix(line, "#") {
			same = append(same, line)
		}
	}
	return same, differ
}

// sampleData is two hours of samples every 15 s, 7 s after the quarter of a minute: counters that
// reset, gauges, a histogram, a series with gaps, one with infinities, and one on the minute.
func sampleData(base int64) []store.Sample {
	random := rand.New(rand.NewPCG(1, 2))
	var out []store.Sample
	const count = 480
	series := func(name string, next func(i int) (float64, bool), pairs ...string) {
		ls := store.FromStrings(append(pairs, "__name__", name)...)
		for i := range count {
			if v, ok := next(i); ok {
				out = append(out, store.Sample{Labels: ls, TimeMs: base + int64(i)*15_000 + 7_000, Value: v})
			}
		}
	}
	counter := func(most int) func(int) (float64, bool) {
		total := 0
		reset := 100 + random.IntN(300)
		return func(i int) (float64, bool) {
			if i == reset {
				total = 0
			}
			total += random.IntN(most + 1)
			return float64(total), true
		}
	}
	gauge := func(middle, swing float64) func(int) (float64, bool) {
		return func(i int) (float64, bool) {
			return math.Round((middle+swing*math.Sin(float64(i)/30)+random.Float64())*1000) / 1000, true
		}
	}
	for _, job := range []string{"api", "web"} {
		for _, instance := range []string{"a:80", "b:80"} {
			for _, method := range []string{"GET", "POST", "PUT"} {
				series("http_requests_total", counter(50), "job", job, "instance", instance, "method", method, "code", "200")
				series("http_requests_total", counter(5), "job", job, "instance", instance, "method", method, "code", "500")
			}
		}
	}
	for i, room := range []string{"kitchen", "hall", "attic", "cellar", "bath"} {
		series("temperature", gauge(20+float64(i)-2, 4), "room", room, "floor", strconv.Itoa(i/2))
		if i < 3 {
			series("room_info", func(int) (float64, bool) { return 1, true }, "room", room, "owner", strings.ToUpper(room))
		}
	}
	for _, goods := range []string{"food", "clothes"} {
		series("trade:count", gauge(100, 50), "goods", goods, "app", "shop")
	}
	bounds := []string{"0.05", "0.1", "0.25", "0.5", "1", "+Inf"}
	for _, job := range []string{"api", "web"} {
		totals := make([]float64, len(bounds))
		rows := make([][]float64, count)
		for i := range rows {
			sum := 0.0
			for j := range bounds {
				totals[j] += float64(random.IntN(10))
				sum += totals[j]
				rows[i] = append(rows[i], sum)
			}
		}
		for j, bound := range bounds {
			series("latency_seconds_bucket", func(i int) (float64, bool) { return rows[i][j], true }, "job", job, "le", bound)
		}
		series("latency_seconds_count", func(i int) (float64, bool) { return rows[i][len(bounds)-1], true }, "job", job)
		series("latency_seconds_sum", counter(20), "job", job)
	}
	series("sparse", func(i int) (float64, bool) { return float64(i), i%40 == 3 || i%40 == 11 }, "kind", "gaps")
	series("with_infinity", func(i int) (float64, bool) { return []float64{1, math.Inf(1), 2, math.Inf(-1)}[i/100%4], true })
	edge := store.FromStrings("__name__", "on_the_minute")
	for i := range int64(120) {
		out = append(out, store.Sample{Labels: edge, TimeMs: base + i*minute, Value: float64(i)})
	}
	return out
}

// startPrometheus runs a Prometheus that has the samples and returns its address.
func startPrometheus(t *testing.T, samples []store.Sample) string {
	t.Helper()
	dir := t.TempDir()
	// The format wants the samples of one metric together.
	sorted := slices.Clone(samples)
	slices.SortStableFunc(sorted, func(a, b store.Sample) int {
		return strings.Compare(a.Labels.Get(store.MetricName), b.Labels.Get(store.MetricName))
	})
	var text bytes.Buffer
	for _, s := range sorted {
		fmt.Fprintf(&text, "%s %s %s\n", s.Labels, strconv.FormatFloat(s.Value, 'g', -1, 64), strconv.FormatFloat(float64(s.TimeMs)/1000, 'f', 3, 64))
	}
	text.WriteString("# EOF\n")
	input, config, data := filepath.Join(dir, "samples.om"), filepath.Join(dir, "prometheus.yml"), filepath.Join(dir, "data")
	if err := os.WriteFile(input, text.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(config, []byte("global: {}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("promtool", "tsdb", "create-blocks-from", "openmetrics", input, data).CombinedOutput(); err != nil {
		t.Fatalf("promtool: %v: %s", err, out)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := listener.Addr().String()
	listener.Close()
	log, err := os.Create(filepath.Join(dir, "log"))
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(prometheusBinary, "--config.file="+config, "--storage.tsdb.path="+data, "--storage.tsdb.retention.time=100d", "--web.listen-address="+address)
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		<-ended
		log.Close()
	})
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case err := <-ended:
			ended <- err
			said, _ := os.ReadFile(log.Name())
			t.Fatalf("Prometheus ended: %v: %s", err, said)
		case <-tick.C:
		}
		resp, err := http.Get("http://" + address + "/-/ready")
		if err != nil {
			continue
		}
		resp.Body.Close()
		if resp.StatusCode == http.StatusOK {
			return address
		}
	}
}

// answer is a result in a form to compare: values by time by series. order is that of the series of an instant vector.
type answer struct {
	kind   string
	series map[string]map[int64]float64
	order  []string
}

func askPharos(t *testing.T, b *bench, expr string, start, end, step int64) answer {
	t.Helper()
	resp, err := b.Query(context.Background(), &pharosv1.QueryRequest{Expr: expr, StartMs: start, EndMs: end, StepMs: step})
	if err != nil {
		t.Errorf("%s: %v", expr, err)
		return answer{}
	}
	kinds := map[pharosv1.ResultType]string{
		pharosv1.ResultType_RESULT_TYPE_SCALAR: "scalar", pharosv1.ResultType_RESULT_TYPE_VECTOR: "vector",
		pharosv1.ResultType_RESULT_TYPE_MATRIX: "matrix", pharosv1.ResultType_RESULT_TYPE_STRING: "string"}
	out := answer{kind: kinds[resp.GetType()], series: map[string]map[int64]float64{}}
	for _, s := range resp.GetSeries() {
		key := store.FromMap(s.GetLabels()).String()
		out.order = append(out.order, key)
		out.series[key] = map[int64]float64{}
		for i, at := range s.GetTimesMs() {
			out.series[key][at] = s.GetValues()[i]
		}
	}
	return out
}

func askPrometheus(t *testing.T, address, expr string, start, end, step int64) answer {
	t.Helper()
	seconds := func(ms int64) string { return strconv.FormatFloat(float64(ms)/1000, 'f', 3, 64) }
	form := url.Values{"query": {expr}, "time": {seconds(start)}}
	path := "/api/v1/query"
	if step > 0 {
		path = "/api/v1/query_range"
		form = url.Values{"query": {expr}, "start": {seconds(start)}, "end": {seconds(end)}, "step": {seconds(step)}}
	}
	resp, err := http.PostForm("http://"+address+path, form)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	var reply struct {
		Error string
		Data  struct {
			ResultType string
			Result     json.RawMessage
		}
	}
	if err := json.Unmarshal(body, &reply); err != nil || reply.Error != "" {
		t.Errorf("Prometheus on %s: %v %s", expr, err, reply.Error)
		return answer{}
	}
	out := answer{kind: reply.Data.ResultType, series: map[string]map[int64]float64{}}
	type pair [2]any
	put := func(labels map[string]string, points ...pair) {
		key := store.FromMap(labels).String()
		out.order = append(out.order, key)
		out.series[key] = map[int64]float64{}
		for _, p := range points {
			v, err := strconv.ParseFloat(p[1].(string), 64)
			if err != nil {
				t.Fatal(err)
			}
			out.series[key][int64(math.Round(p[0].(float64)*1000))] = v
		}
	}
	if out.kind == "scalar" {
		var p pair
		if err := json.Unmarshal(reply.Data.Result, &p); err != nil {
			t.Fatal(err)
		}
		put(nil, p)
		return out
	}
	var result []struct {
		Metric map[string]string
		Value  pair
		Values []pair
	}
	if err := json.Unmarshal(reply.Data.Result, &result); err != nil {
		t.Fatal(err)
	}
	for _, r := range result {
		if out.kind == "vector" {
			put(r.Metric, r.Value)
		} else {
			put(r.Metric, r.Values...)
		}
	}
	return out
}

// compare says how two answers differ, beyond the noise of floating point.
func compare(theirs, ours answer) string {
	if theirs.kind != ours.kind || len(theirs.series) != len(ours.series) {
		return fmt.Sprintf("Prometheus has a %s of %d series, Pharos a %s of %d", theirs.kind, len(theirs.series), ours.kind, len(ours.series))
	}
	for key, want := range theirs.series {
		got, found := ours.series[key]
		if !found {
			return fmt.Sprintf("no series %s", key)
		}
		if len(got) != len(want) {
			return fmt.Sprintf("%s has %d points, want %d", key, len(got), len(want))
		}
		for at, w := range want {
			g, found := got[at]
			if !found {
				return fmt.Sprintf("%s has no point at %d", key, at)
			}
			if !equal(g, w) {
				return fmt.Sprintf("%s is %v at %d, want %v", key, g, at, w)
			}
		}
	}
	return ""
}

func equal(a, b float64) bool {
	if a == b || math.IsNaN(a) && math.IsNaN(b) {
		return true
	}
	return math.Abs(a-b) <= 1e-9*max(1, math.Abs(a), math.Abs(b))
}
