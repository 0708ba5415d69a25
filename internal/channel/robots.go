package channel

import (
	"regexp"

	"github.com/pharos-stack/pharos/internal/fielderr"
)

// WeCom is a robot of a WeCom group.
type WeCom struct {
	URL     string   `json:"url" yaml:"url" secret:"true" doc:"Robot URL with its key; write-only"`
	AtUsers []string `json:"at_users,omitempty" yaml:"at_users,omitempty" maxItems:"20" doc:"User ids to mention"`
}

// Feishu is a robot of a Feishu or Lark group.
type Feishu struct {
	URL string `json:"url" yaml:"url" secret:"true" doc:"Robot URL, .../open-apis/bot/v2/hook/...; write-only"`
	// Secret signs requests; empty when the robot is secured by keywords.
	Secret   string   `json:"secret,omitempty" yaml:"secret,omitempty" secret:"true" doc:"Signing secret; write-only"`
	Keywords []string `json:"keywords,omitempty" yaml:"keywords,omitempty" maxItems:"10" doc:"The first is put into a message that has none"`
	AtAll    bool     `json:"at_all,omitempty" yaml:"at_all,omitempty"`
}

// Slack is an incoming webhook of a Slack channel.
type Slack struct {
	URL string `json:"url" yaml:"url" secret:"true" doc:"Incoming webhook URL, https://hooks.slack.com/services/...; write-only"`
}

// userID is what WeCom lets a user id be; another one would break the markup.
var userID = regexp.MustCompile(`^[A-Za-z0-9._@-]{1,64}$`)

func (c *WeCom) check(es *fielderr.Errors, at string) {
	checkURL(es, at+".url", c.URL)
	for _, id := range c.AtUsers {
		if !userID.MatchString(id) {
			es.Add(at+".at_users", "bad_value", "%q is no user id: use 1 to 64 letters, digits, dots, hyphens, underscores or @", id)
		}
	}
}

func (c *Feishu) check(es *fielderr.Errors, at string) { checkURL(es, at+".url", c.URL) }

func (c *Slack) check(es *fielderr.Errors, at string) { checkURL(es, at+".url", c.URL) }
