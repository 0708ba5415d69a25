package console_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"go.yaml.in/yaml/v4"

	"github.com/pharos-stack/pharos/console"
	"github.com/pharos-stack/pharos/console/agents"
	pharosv1 "github.com/pharos-stack/pharos/proto/pharos/v1"
)

// documents reads every resource below examples/, as JSON values.
func documents(t *testing.T) (found []map[string]any) {
	t.Helper()
	for _, pattern := range []string{"../examples/*.yaml", "../examples/shop/pharos/*.yaml"} {
		files, err := filepath.Glob(pattern)
		if err != nil || len(files) == 0 {
			t.Fatalf("%s: %v %v", pattern, files, err)
		}
		for _, name := range files {
			text, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			for decode := yaml.NewDecoder(bytes.NewReader(text)); ; {
				var v map[string]any
				if decode.Decode(&v) != nil {
					break
				}
				found = append(found, jsonOf(t, v))
			}
		}
	}
	return found
}

// jsonOf returns a deep copy with the types that JSON has.
func jsonOf(t *testing.T, v any) (out map[string]any) {
	t.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &out); err != nil {
		t.Fatal(err)
	}
	return out
}

// An editor that knows the served schemas takes what apply takes, and marks
// what apply refuses for its form.
func TestSchemasAgreeWithExamples(t *testing.T) {
	i := start(t)
	schemas := map[string]*jsonschema.Schema{}
	for _, kind := range []string{"LogMonitor", "AlarmRule", "Channel", "Dashboard"} {
		address := "/api/schemas/" + kind + ".json"
		doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(i.anonymous().want(200, "GET", address, nil).body))
		if err != nil {
			t.Fatal(err)
		}
		c := jsonschema.NewCompiler()
		if err := c.AddResource(i.url+address, doc); err != nil {
			t.Fatal(err)
		}
		if schemas[kind], err = c.Compile(i.url + address); err != nil {
			t.Fatal(err)
		}
	}
	seen := map[string]bool{}
	for _, d := range documents(t) {
		kind := fmt.Sprint(d["kind"])
		s := schemas[kind]
		if s == nil {
			t.Errorf("there is no schema of %s", kind)
			continue
		}
		seen[kind] = true
		if err := s.Validate(d); err != nil {
			t.Errorf("%s %v: %v", kind, d["metadata"], err)
		}
		for what, spoil := range map[string]func(root, spec map[string]any){
			"an unknown field":       func(_, spec map[string]any) { spec["titel"] = "x" },
			"an unknown field above": func(root, _ map[string]any) { root["status"] = "x" },
			"another kind":           func(root, _ map[string]any) { root["kind"] = "Nothing" },
			"another version":        func(root, _ map[string]any) { root["apiVersion"] = "pharos/v0" },
			"a title of a number":    func(_, spec map[string]any) { spec["title"] = 7.0 },
			"no title":               func(_, spec map[string]any) { delete(spec, "title") },
			"no spec":                func(root, _ map[string]any) { delete(root, "spec") },
			"no name":                func(root, _ map[string]any) { delete(root["metadata"].(map[string]any), "name") },
		} {
			wrong := jsonOf(t, d)
			spoil(wrong, wrong["spec"].(map[string]any))
			if s.Validate(wrong) == nil {
				t.Errorf("%s with %s is valid", kind, what)
			}
		}
	}
	if len(seen) != len(schemas) {
		t.Errorf("the examples have only %v", seen)
	}
}

// What an agent could not read is counted and sampled where a person looks:
// on the monitor's page.
func TestBadLinesAreShownOnTheMonitorsPage(t *testing.T) {
	i := start(t)
	c := i.admin()
	var monitor struct{ ID string }
	c.want(201, "POST", ws+"/monitors", monitorBody).json(t, &monitor)
	i.register.set(func(f *fakeRegister) {
		f.agents = []*pharosv1.AgentState{{AgentId: "agent-1", Connected: true, Heartbeat: &pharosv1.AgentHeartbeat{Tasks: []*pharosv1.TaskStatus{{MonitorId: monitor.ID, DefinitionRevision: 1,
			Lines:      &pharosv1.LineCounters{Read: 10, Matched: 4, Unmatched: 3, Bad: 1, Late: 2, BadNumbers: 5, Undecodable: 7, Cut: 6},
			BadSamples: []*pharosv1.BadLine{{Text: "2026-13-45 noise \ufffd", Reason: "time"}}}}}}}
	})
	body := string(c.want(200, "GET", ws+"/monitors/trades/agents", nil).body)
	for _, want := range []string{`"bad":1`, `"late":2`, `"unmatched":3`, `"bad_numbers":5`, `"undecodable":7`, `"cut":6`, `2026-13-45 noise`, `"reason":"time"`} {
		if !strings.Contains(body, want) {
			t.Errorf("%s is missing in %s", want, body)
		}
	}
}

// Every way in has its limit, and says so instead of failing.
func TestOversizedRequests(t *testing.T) {
	i := start(t)
	c := i.admin()
	big := strings.Repeat("x", 1<<20)
	for path, body := range map[string]string{
		ws + "/monitors":                 `{"spec":"` + big + `"}`,
		ws + "/monitors:debug":           `{"lines":["` + big + `"]}`,
		ws + "/resources:apply":          `{"items":["` + big + `"]}`,
		"/api/v1/session":                `{"username":"` + big + `","password":"x"}`,
		"/api/v1/tokens":                 `{"name":"` + big + `"}`,
		"/prometheus/api/v1/query":       "query=" + big,
		"/prometheus/api/v1/query_range": "query=" + big,
	} {
		kind := "application/json"
		if strings.HasPrefix(path, "/prometheus/") {
			kind = "application/x-www-form-urlencoded"
		}
		if a := c.do("POST", path, body, "Content-Type", kind); a.status != 413 || !strings.Contains(string(a.body), "larger than 1 MiB") {
			t.Errorf("POST %s of 1 MiB: status %d: %.200s", path, a.status, a.body)
		}
	}
	if a := c.do("GET", "/api/v1/overview?workspace="+strings.Repeat("x", 100<<10), nil); a.status != 404 {
		t.Errorf("a long name: status %d", a.status)
	}
}

// An expired session is refused with a code by which the UI goes to sign-in,
// for changes and PromQL as well; nothing is changed.
func TestExpiredSessionIsRefusedEverywhere(t *testing.T) {
	i := start(t)
	c := i.admin()
	i.pass(31 * 24 * time.Hour)
	c.fails(401, "session_expired", "GET", "/api/v1/me", nil)
	c.fails(401, "session_expired", "POST", ws+"/monitors", monitorBody)
	c.want(401, "GET", "/prometheus/api/v1/labels", nil)
	if n := strings.Count(string(i.admin().want(200, "GET", ws+"/monitors", nil).body), `"trades"`); n != 0 {
		t.Error("an expired session made a monitor")
	}
}

func TestOverviewSaysWhereAgentsReachRegister(t *testing.T) {
	for given, want := range map[string]string{"reg.example.com:9090": "reg.example.com:9090", "127.0.0.1:9191": ":9191", "0.0.0.0:9090": ":9090", "[::]:1": ":1",
		":9090": ":9090", "localhost:7": ":7", "[2001:db8::1]:9": "[2001:db8::1]:9", "dns:///reg:9090": "", "reg": "", "": ""} {
		if got := agents.Reachable(given); got != want {
			t.Errorf("%q is reached at %q, want %q", given, got, want)
		}
	}
	i := start(t, func(o *console.Options) { o.AgentAddress = "reg.example.com:9191" })
	if a := i.admin().want(200, "GET", "/api/v1/overview?workspace=default", nil); !strings.Contains(string(a.body), `"register_address":"reg.example.com:9191"`) {
		t.Errorf("%s", a.body)
	}
}
