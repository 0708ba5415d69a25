package console_test

import "testing"

// TestIndex finds monitors by the names and values that people gave them.
func TestIndex(t *testing.T) {
	i := start(t)
	c := i.admin()
	monitor := func(name, index string) string {
		return `{"name":"` + name + `","spec":{"title":"T","type":"minute","paths":["/x.log"],"time":{"format":"normal"},"index":` + index + `}}`
	}
	c.want(201, "POST", ws+"/monitors", monitor("a", `{"team":"payments","tier":"1"}`))
	c.want(201, "POST", ws+"/monitors", monitor("b", `{"team":"stock"}`))
	var got struct{ Items []struct{ Name string } }
	c.want(200, "GET", ws+"/monitors?q=team%3Dpayments", nil).json(t, &got)
	if len(got.Items) != 1 || got.Items[0].Name != "a" {
		t.Errorf("found %+v", got.Items)
	}
	for index, code := range map[string]string{`{"a":"1","b":"1","c":"1","d":"1"}`: "too_many", `{"a":""}`: "bad_index_entry"} {
		var e struct {
			Details []struct{ Field, Code string }
		}
		c.want(422, "POST", ws+"/monitors", monitor("x", index)).json(t, &e)
		if len(e.Details) != 1 || e.Details[0].Field != "spec.index" || e.Details[0].Code != code {
			t.Errorf("%s: %+v", index, e.Details)
		}
	}
}
