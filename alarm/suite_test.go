package alarm

import (
	"context"
	"encoding/json"
	"maps"
	"math"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/test/bufconn"

	"github.com/pharos-stack/pharos/compute/query"
	"github.com/pharos-stack/pharos/compute/store"
	"github.com/pharos-stack/pharos/compute/store/embedded"
	"github.com/pharos-stack/pharos/internal/alarmrule"
	"github.com/pharos-stack/pharos/internal/alarmtrial"
	"github.com/pharos-stack/pharos/internal/logrule"
	"github.com/pharos-stack/pharos/internal/resource"
	pharosv1 "github.com/pharos-stack/pharos/proto/pharos/v1"
)

// checked is how many minutes a case looks at.
const checked = 40

// suite is a real store and query service with a monitor for each scenario.
type suite struct {
	t0        time.Time
	store     *embedded.Store
	client    pharosv1.QueryServiceClient
	scenarios map[string]minutes
	monitors  []resource.Object
	infos     []*pharosv1.MonitorInfo
}

func (s *suite) SelectLive([]store.Matcher, int64, int64, func(*store.Series) error) error {
	return nil
}
func (s *suite) LiveLines(string, int64, int64) ([]store.LineWindow, error) { return nil, nil }
func (s *suite) PendingRollup(string) int64                                 { return math.MaxInt64 }
func (s *suite) Status() *pharosv1.StatusResponse                           { return &pharosv1.StatusResponse{} }
func (s *suite) Monitors() []*pharosv1.MonitorInfo                          { return s.infos }

// known is the first minute that compute tells of; the store alone has those before.
const known = -20

func (s *suite) MonitorWindows(_ context.Context, req *pharosv1.MonitorWindowsRequest) (*pharosv1.MonitorWindowsResponse, error) {
	data := s.scenarios[strings.TrimPrefix(req.GetMonitorId(), "mon_")]
	out := &pharosv1.MonitorWindowsResponse{SettledUntilMs: math.MaxInt64, ExpectedAgents: 2}
	for m := known; m < checked; m++ {
		start := s.ms(m)
		if start < req.GetStartMs() || start > req.GetEndMs() {
			continue
		}
		lines := 0.0
		for _, r := range data.records[m] {
			lines += r.lines
		}
		out.Windows = append(out.Windows, &pharosv1.WindowState{WindowStartMs: start, WindowMs: minuteMs, Settled: true, Completeness: data.complete[m], Lines: uint64(lines)})
	}
	return out, nil
}

func (s *suite) ms(m int) int64 { return s.t0.Add(time.Duration(m) * time.Minute).UnixMilli() }

// recorded are the minutes that have data: now, an hour before, and around the same time on the days before.
func recorded() []int {
	var out []int
	for d := 28; d >= 1; d-- {
		for m := -15; m < checked+10; m++ {
			out = append(out, m-d*dayMinutes)
		}
	}
	for m := -95; m < checked; m++ {
		out = append(out, m)
	}
	return out
}

// scenarioSources say what a minute has of a key, and how complete it is. The
// number of lines is n, of which bad failed; each took about ms.
var scenarioSources = map[string]func(m int, put func(key string, n, bad int, ms float64)) (completeness float64){
	// Food rises by one line a minute, home is steady, toys come and go.
	"ramp": func(m int, put func(string, int, int, float64)) float64 {
		put("food", max(0, 5+m), 0, 10)
		put("home", 10, 1, 20)
		if m%7 < 3 {
			put("toys", 4, 2, 5)
		}
		return 1
	},
	// Food fails between minute 10 and 20, home's traffic breaks down from 15 to 25, toys stop at 12 for good.
	"outage": func(m int, put func(string, int, int, float64)) float64 {
		bad, n := 0, 20
		if m >= 10 && m < 20 {
			bad = 15
		}
		if m >= 15 && m < 25 {
			n = 3
		}
		put("food", 30, bad, 10+float64(bad))
		put("home", n, 0, 20)
		if m < 12 {
			put("toys", 2, 0, 5)
		}
		return 1
	},
	// Half of the agents are missing in some minutes, where half of the lines are. What is left of
	// late is slow then: the average and the least of a part say nothing of the whole.
	"lagging": func(m int, put func(string, int, int, float64)) float64 {
		n, share := 20, 1.0
		if m >= 5 && m < 9 || m >= 20 && m < 22 || m == 30 {
			n, share = 10, 0.5
		}
		if m >= 18 && m < 26 {
			n *= 3
		}
		put("food", n, n/10, float64(n))
		put("home", n/2, 0, 7)
		slow := 5.0
		if m >= 5 && m < 9 {
			slow = 40
		}
		put("late", 6, 0, slow)
		return share
	},
	// Every hour looks the same but for spikes; the days before differ a little.
	"daily": func(m int, put func(string, int, int, float64)) float64 {
		day := int(math.Floor(float64(m+720) / dayMinutes))
		n := 100 + (m%5+5)%5*2 + ((day%3)+3)%3*3
		if day == 0 && m >= 10 && m < 13 {
			n *= 3
		}
		if day == 0 && m >= 25 && m < 28 {
			n /= 4
		}
		put("food", n, n/50, float64(n)/10)
		put("home", 20+((day%7)+7)%7*2, 0, 30)
		return 1
	},
	// Nothing for a while, with and without agents.
	"quiet": func(m int, put func(string, int, int, float64)) float64 {
		if m < 8 || m >= 20 && m < 24 || m >= 36 {
			put("food", 6, 0, 3)
		}
		if m >= 26 && m < 30 {
			return 0
		}
		return 1
	},
	// Keys whose names share beginnings and have stars.
	"names": func(m int, put func(string, int, int, float64)) float64 {
		for i, key := range []string{"get_a", "get_b", "get*", "put_a", "a.b"} {
			put(key, (m+i*3)%10, 0, 1)
		}
		return 1
	},
	// Zero yesterday and a week before, something now.
	"fresh": func(m int, put func(string, int, int, float64)) float64 {
		if m > -10 {
			put("food", 5+m%4, 1, 9)
		} else if m > -95 {
			put("home", 1, 0, 9)
		}
		if m > -95 {
			put("home", 1, 0, 9)
		}
		return 1
	},
}

func newSuite(t *testing.T) *suite {
	st, err := embedded.Open(embedded.Options{Dir: t.TempDir(), MemoryBytes: 64 << 20, ReserveBytes: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { st.Close() })
	yesterday := time.Now().UTC().Add(-48 * time.Hour).Truncate(24 * time.Hour)
	s := &suite{t0: yesterday.Add(12 * time.Hour), store: st, scenarios: map[string]minutes{}}
	spec := logrule.Spec{Title: "t", Type: logrule.MinuteMulti, Paths: []string{"/x"}, GroupBy: []string{"goods"}, Columns: []logrule.Column{{Name: "goods", Line: true}},
		Statistics: []logrule.Statistic{{Name: "count", Kind: logrule.Count}, {Name: "amount", Kind: logrule.Sum, Column: "ms"}, {Name: "avg", Kind: logrule.Avg, Column: "ms"},
			{Name: "rate", Kind: logrule.SuccessRate, Column: "ok"}, {Name: "least", Kind: logrule.Min, Column: "ms"}, {Name: "most", Kind: logrule.Max, Column: "ms"}}}.WithDefaults()
	text, err := json.Marshal(spec)
	if err != nil {
		t.Fatal(err)
	}
	for name, source := range scenarioSources {
		s.write(t, name, source)
		s.monitors = append(s.monitors, resource.Object{Kind: resource.KindLogMonitor, Metadata: resource.Metadata{ID: "mon_" + name, Name: name, Workspace: "default"}, Spec: text})
		s.infos = append(s.infos, &pharosv1.MonitorInfo{MonitorId: "mon_" + name, Key: name, Workspace: "default", App: "default", SpecJson: text})
	}
	listener := bufconn.Listen(1 << 20)
	server := grpc.NewServer()
	pharosv1.RegisterQueryServiceServer(server, query.New(query.Options{Store: st, Live: s}))
	done := make(chan error, 1)
	go func() { done <- server.Serve(listener) }()
	conn, err := grpc.NewClient("passthrough:///query", grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return listener.DialContext(ctx) }))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		conn.Close()
		server.Stop()
		<-done
	})
	s.client = pharosv1.NewQueryServiceClient(conn)
	return s
}

// write stores a scenario as compute would.
func (s *suite) write(t *testing.T, name string, source func(int, func(string, int, int, float64)) float64) {
	data := minutes{map[int]map[string]record{}, map[int]float64{}}
	var batch []store.WindowSample
	for _, m := range recorded() {
		of := map[string]record{}
		data.complete[m] = source(m, func(key string, n, bad int, ms float64) {
			if n > 0 {
				of[key] = record{lines: float64(n), sum: float64(n) * ms, ok: float64(n - bad), least: ms - 1, most: ms + float64(bad)}
			}
		})
		data.records[m] = of
		sample := func(figure string, v float64, goods string) {
			pairs := []string{"__name__", name + ":" + figure, "app", "default", "workspace", "default"}
			if goods != "" {
				pairs = append(pairs, "goods", goods)
			}
			batch = append(batch, store.WindowSample{Labels: store.FromStrings(pairs...), StartMs: s.ms(m), WindowMs: minuteMs, Revision: 1, Value: v})
		}
		sample("completeness", data.complete[m], "")
		figures := func(r record, suffix, goods string) {
			sample("count"+suffix, r.lines, goods)
			sample("amount"+suffix, r.sum, goods)
			if r.lines == 0 {
				return
			}
			for figure, v := range map[string]float64{"avg": r.sum / r.lines, "avg_sum": r.sum, "avg_count": r.lines, "rate": 100 * r.ok / r.lines, "rate_success": r.ok, "rate_total": r.lines, "least": r.least, "most": r.most} {
				sample(figure+suffix, v, goods)
			}
		}
		var total record
		for key, r := range of {
			figures(r, "", key)
			total = total.plus(r)
		}
		if total.lines > 0 || data.complete[m] > 0 {
			figures(total, ":total", "")
		}
	}
	if err := s.store.WriteWindows(t.Context(), batch); err != nil {
		t.Fatal(err)
	}
	s.scenarios[name] = data
}

// fires tells by the alarm tier when a rule fires.
func (s *suite) fires(t *testing.T, spec alarmrule.Spec) []string {
	got, err := Backtest(t.Context(), alarmtrial.Trial{Query: s.client, Workspace: "default", Monitors: s.monitors, Spec: spec, FromMs: s.ms(0) + 1, ToMs: s.ms(checked)})
	if err != nil {
		t.Fatal(err)
	}
	if got.Failed > 0 {
		t.Fatalf("%d checks failed: %s", got.Failed, got.Failure)
	}
	minute := func(ms int64) string { return strconv.Itoa(int((ms-s.ms(0))/minuteMs) - 1) }
	var out []string
	for _, e := range got.Episodes {
		text := e.Labels["goods"] + " " + minute(e.FiredMs) + "-"
		if e.Rule != "" {
			text = e.Rule + ":" + text
		}
		if e.EndedMs > 0 {
			text += minute(e.EndedMs)
		}
		var classes []string
		for _, c := range alarmrule.Classes() {
			if slices.Contains(e.Classes, string(c)) {
				classes = append(classes, string(c))
			}
		}
		if len(classes) > 0 {
			text += " " + strings.Join(classes, "+")
		}
		out = append(out, strings.TrimSpace(text))
	}
	slices.Sort(out)
	return out
}

// TestSuite runs the cases of testdata/suite.txt: what the alarm tier does over
// a real store must be what each case expects, and what the reference says.
func TestSuite(t *testing.T) {
	text, err := os.ReadFile("testdata/suite.txt")
	if err != nil {
		t.Fatal(err)
	}
	s := newSuite(t)
	cases, firing := 0, 0
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		given, want, _ := strings.Cut(line, "=>")
		want = strings.TrimSpace(want)
		spec, scenario := parseCase(t, given)
		if err := spec.Validate("spec"); err != nil {
			t.Fatalf("%s: %v", given, err)
		}
		cases++
		ref := reference{data: s.scenarios[scenario], spec: spec, t0: s.t0}
		expected := strings.Join(ref.run(checked), ", ")
		got := strings.Join(s.fires(t, spec), ", ")
		if got != want || expected != want {
			t.Errorf("%s=> %s\n got       %s\n reference %s", given, want, got, expected)
		}
		if want != "" {
			firing++
		}
	}
	if cases < 300 || firing < cases/2 {
		t.Errorf("there are only %d cases, of which %d fire", cases, firing)
	}
}

// parseCase reads "scenario; condition and|or condition …; options". A
// condition is "figure method[:n] op threshold [name=value …]".
func parseCase(t *testing.T, text string) (alarmrule.Spec, string) {
	t.Helper()
	parts := strings.Split(text, ";")
	scenario := strings.TrimSpace(parts[0])
	spec := alarmrule.Spec{Title: "case", Timezone: "UTC"}
	rule := alarmrule.Rule{}
	option := func(name, value string) {
		n, _ := strconv.Atoi(value)
		active := func() *alarmrule.Active {
			from, to, _ := strings.Cut(value, "-")
			return &alarmrule.Active{Weekly: []alarmrule.Weekly{{From: from, To: to}}}
		}
		switch name {
		case "for":
			rule.For = n
		case "of":
			rule.Of = n
		case "recover":
			spec.RecoverAfter = n
		case "every":
			spec.Every = logrule.Duration(time.Duration(n) * time.Minute)
		case "complete":
			spec.MinCompleteness = parsed(t, value)
		case "active":
			spec.Active = active()
		case "narrow":
			rule.Active = active()
		case "exclusive":
			rule.Exclusive = true
		default:
			t.Fatalf("unknown option %q", name)
		}
	}
	if len(parts) > 2 {
		for _, o := range strings.Fields(parts[2]) {
			name, value, _ := strings.Cut(o, "=")
			option(name, value)
		}
	}
	packages := strings.Split(parts[1], " then ")
	for i, p := range packages {
		r := rule
		r.Join, r.Conditions = alarmrule.All, nil
		if strings.Contains(p, " or ") {
			r.Join = alarmrule.Any
		}
		for c := range strings.SplitSeq(strings.ReplaceAll(p, " or ", " and "), " and ") {
			if rest, ok := strings.CutSuffix(c, " exclusive"); ok {
				c, r.Exclusive = rest, true
			}
			r.Conditions = append(r.Conditions, parseCondition(t, scenario, c))
		}
		if len(packages) == 1 && r.Active == nil {
			spec.Join, spec.Conditions, spec.For, spec.Of = r.Join, r.Conditions, r.For, r.Of
		} else {
			r.Name = string(rune('a' + i))
			spec.Rules = append(spec.Rules, r)
		}
	}
	return spec.WithDefaults(), scenario
}

func parsed(t *testing.T, s string) float64 {
	t.Helper()
	v, err := strconv.ParseFloat(s, 64)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func parseCondition(t *testing.T, scenario, text string) alarmrule.Condition {
	t.Helper()
	f := strings.Fields(text)
	figure, total := strings.CutSuffix(f[0], "*")
	method, n, _ := strings.Cut(f[1], ":")
	c := alarmrule.Condition{Monitor: scenario, Figure: figure, Total: total, Method: alarmrule.Method(method), Op: alarmrule.Op(f[2])}
	if c.Method == alarmrule.Silence {
		c.Figure = ""
	}
	if n != "" {
		c.N = int(parsed(t, n))
	}
	if f[3] != "-" {
		c.Threshold = new(parsed(t, f[3]))
	} else {
		c.Thresholds = &alarmrule.Thresholds{}
	}
	set := map[string]func(string){
		"upper":  func(v string) { c.Upper = new(parsed(t, v)) },
		"keys":   func(v string) { c.Keys = map[string][]string{"goods": strings.Split(v, ",")} },
		"not":    func(v string) { c.ExcludeKeys = map[string][]string{"goods": strings.Split(v, ",")} },
		"now":    func(v string) { c.MinCurrent = new(parsed(t, v)) },
		"base":   func(v string) { c.MinBase = new(parsed(t, v)) },
		"zero":   func(v string) { c.ZeroBase = alarmrule.ZeroBase(v) },
		"goal":   func(v string) { c.Objective = parsed(t, v) },
		"short":  func(v string) { c.ShortN = int(parsed(t, v)) },
		"days":   func(v string) { c.Days = int(parsed(t, v)) },
		"weekly": func(string) { c.Weekly = true },
		"chat":   func(v string) { c.Thresholds.Chat = new(parsed(t, v)) },
		"sms":    func(v string) { c.Thresholds.SMS = new(parsed(t, v)) },
		"phone":  func(v string) { c.Thresholds.Phone = new(parsed(t, v)) },
		"plan":   func(v string) { c.Thresholds.Plan = new(parsed(t, v)) },
	}
	for _, o := range f[4:] {
		name, value, _ := strings.Cut(o, "=")
		if set[name] == nil {
			t.Fatalf("unknown part %q of a condition; there are %v", o, slices.Sorted(maps.Keys(set)))
		}
		set[name](value)
	}
	return c
}
