package alarm

import (
	"context"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"strings"

	"github.com/pharos-stack/pharos/internal/channel"
)

// sendGateway tells one number by the channel's template.
func (a *Alarm) sendGateway(ctx context.Context, c channel.Gateway, number string, values map[string]string) (string, error) {
	values = maps.Clone(values)
	values["to"], values["secret"] = number, c.Secret
	header := http.Header{}
	contentType := "application/json; charset=utf-8"
	for name, value := range c.Headers {
		value = expand(value, values, plain)
		if http.CanonicalHeaderKey(name) == "Content-Type" {
			contentType = value
			continue
		}
		header.Set(name, value)
	}
	body := expand(c.Body, values, escapeFor(contentType))
	answer, err := a.request(ctx, c.Method, expand(c.URL, values, escapeURL), contentType, header, []byte(body))
	if err == nil && !strings.Contains(answer, c.Success) {
		err = fmt.Errorf("the gateway did not accept it: its answer has no %q", c.Success)
	}
	return answer, err
}

// escapeURL fits both a path and a query.
func escapeURL(s string) string { return strings.ReplaceAll(url.QueryEscape(s), "+", "%20") }

// escapeFor returns how values stand in a body of that type.
func escapeFor(contentType string) func(string) string {
	switch {
	case strings.Contains(contentType, "json"):
		return func(s string) string {
			text, err := json.Marshal(s)
			if err != nil { // a string has a JSON text
				panic(err)
			}
			return string(text[1 : len(text)-1])
		}
	case strings.Contains(contentType, "x-www-form-urlencoded"):
		return url.QueryEscape
	case strings.Contains(contentType, "xml"):
		return escapeXML
	}
	return plain
}

func escapeXML(s string) string {
	var b strings.Builder
	xml.EscapeText(&b, []byte(s)) // a Builder does not fail
	return b.String()
}
