package dashboards

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/pharos-stack/pharos/compute/store"
	"github.com/pharos-stack/pharos/internal/dashboard"
)

// BenchmarkDashboard answers 20 reports over 1,000 keys and 24 hours: one op is
// the whole page.
func BenchmarkDashboard(b *testing.B) {
	w := newWorld(b)
	var reports []dashboard.Report
	for i := range 5 {
		name := "trades" + strconv.Itoa(i)
		w.monitor(name, strings.Replace(tradesSpec, `"group_by":["goods","cloud"]`, `"group_by":["goods"]`, 1))
		for m := int64(-2880); m < 0; m++ {
			at := w.now + m*minute
			batch := []store.WindowSample{sample(name+":count:total", at, 5e5), sample(name+":cost_sum:total", at, 1e6), sample(name+":cost_count:total", at, 5e5), sample(name+":completeness", at, 1)}
			for k := range 1000 {
				key := []string{"goods", "goods" + strconv.Itoa(k)}
				batch = append(batch, sample(name+":count", at, float64(k), key...), sample(name+":cost_sum", at, float64(2*k), key...), sample(name+":cost_count", at, float64(k), key...))
			}
			w.write(batch)
		}
		for _, text := range []string{
			`{"name":"a","type":"trend","top":10,"sources":[{"monitor":"%s","figure":"count"}]}`,
			`{"name":"b","type":"keys_now","sources":[{"monitor":"%s"}],"columns":[{"name":"n","figure":"count"},{"name":"c","figure":"cost"}]}`,
			`{"name":"c","type":"pie","top":10,"sources":[{"monitor":"%s","figure":"count"}]}`,
			`{"name":"d","type":"trend","sources":[{"monitor":"%s","figure":"cost"}]}`,
		} {
			var r dashboard.Report
			if err := json.Unmarshal([]byte(fmt.Sprintf(text, name)), &r); err != nil {
				b.Fatal(err)
			}
			reports = append(reports, r)
		}
	}
	in := &askIn{Body: Question{Reports: reports, Start: w.now - 1440*minute, End: w.now}}
	in.Workspace = "shop"
	for b.Loop() {
		out, err := w.Dashboards.ask(b.Context(), in)
		if err != nil {
			b.Fatal(err)
		}
		for _, a := range out.Body.Reports {
			if a.Error != nil {
				b.Fatal(a.Error.Message)
			}
		}
	}
}
