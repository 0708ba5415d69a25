package console_test

import (
	"strings"
	"testing"

	pharosv1 "github.com/pharos-stack/pharos/proto/pharos/v1"
)

// TestScope: a scope without any agent is refused unless it is meant; names that
// nobody has are warned of.
func TestScope(t *testing.T) {
	i := start(t)
	c := i.admin()
	monitor := func(name, scope string) string {
		return `{"name":"` + name + `","spec":{"title":"T","type":"minute","paths":["/x.log"],"time":{"format":"normal"},"scope":` + scope + `}}`
	}
	// Nothing is known yet.
	c.want(201, "POST", ws+"/monitors", monitor("early", `{"azs":["moon"]}`))
	i.register.set(func(f *fakeRegister) {
		f.agents = []*pharosv1.AgentState{
			{AgentId: "a", Host: &pharosv1.HostInfo{Hostname: "h1", Ip: "10.0.0.1", Labels: map[string]string{"az": "east"}}},
			{AgentId: "b", Host: &pharosv1.HostInfo{Hostname: "h2", Labels: map[string]string{"az": "west", "env": "gray"}}},
		}
	})
	var got struct{ Warnings []string }
	c.want(201, "POST", ws+"/monitors", monitor("a", `{"azs":["east","north"],"instances":["10.0.0.1"]}`)).json(t, &got)
	if len(got.Warnings) != 1 || !strings.Contains(got.Warnings[0], "spec.scope.azs: no agent has north") {
		t.Errorf("warnings %q", got.Warnings)
	}
	for _, scope := range []string{`{"azs":["moon"]}`, `{"azs":["west"]}`, `{"azs":["east"],"instances":["h2"]}`} { // h2 is not of prod
		var e struct {
			Details []struct{ Field, Code string }
		}
		c.want(422, "POST", ws+"/monitors", monitor("b", scope)).json(t, &e)
		if len(e.Details) != 1 || e.Details[0].Field != "spec.scope" || e.Details[0].Code != "scope_empty" {
			t.Errorf("%s: %+v", scope, e.Details)
		}
	}
	got.Warnings = nil
	c.want(201, "POST", ws+"/monitors?force=true", monitor("b", `{"azs":["moon"]}`)).json(t, &got)
	if len(got.Warnings) != 1 {
		t.Errorf("warnings %q", got.Warnings)
	}
	c.want(422, "PUT", ws+"/monitors/a", strings.Replace(monitor("a", `{"azs":["moon"]}`), `{"name"`, `{"version":1,"name"`, 1))
	c.want(201, "POST", ws+"/monitors", monitor("c", `{"azs":["west"],"envs":["gray"]}`))
	i.register.set(func(f *fakeRegister) { f.down = true })
	c.want(201, "POST", ws+"/monitors", monitor("d", `{"azs":["moon"]}`))
}
