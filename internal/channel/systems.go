package channel

import "github.com/pharos-stack/pharos/internal/fielderr"

// PagerDuty is an integration of a PagerDuty service, Events API v2.
type PagerDuty struct {
	RoutingKey string `json:"routing_key" yaml:"routing_key" secret:"true" doc:"Integration key of 32 characters; write-only"`
	URL        string `json:"url,omitempty" yaml:"url,omitempty" doc:"Default https://events.pagerduty.com/v2/enqueue; for Europe https://events.eu.pagerduty.com/v2/enqueue, or a proxy"`
}

// Alertmanager forwards alerts to a Prometheus Alertmanager.
type Alertmanager struct {
	URL      string `json:"url" yaml:"url" maxLength:"500" doc:"Address of Alertmanager, without /api/v2/alerts"`
	Username string `json:"username,omitempty" yaml:"username,omitempty"`
	Password string `json:"password,omitempty" yaml:"password,omitempty" secret:"true" doc:"Write-only"`
	Token    string `json:"token,omitempty" yaml:"token,omitempty" secret:"true" doc:"Bearer token instead of username and password; write-only"`
}

func (c *PagerDuty) check(es *fielderr.Errors, at string) {
	if len(c.RoutingKey) != 32 {
		es.Add(at+".routing_key", "bad_value", "has %d characters; an integration key of Events API v2 has 32", len(c.RoutingKey))
	}
	checkURL(es, at+".url", c.URL)
}

func (c *Alertmanager) check(es *fielderr.Errors, at string) {
	checkURL(es, at+".url", c.URL)
	if c.Token != "" && (c.Username != "" || c.Password != "") {
		es.Add(at+".token", "not_allowed", "is given beside username or password; give one or the other")
	}
	if c.Password != "" && c.Username == "" {
		es.Add(at+".username", "required", "is missing; the password needs it")
	}
}
