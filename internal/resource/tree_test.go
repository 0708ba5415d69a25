package resource

import (
	"errors"
	"strings"
	"testing"

	"github.com/pharos-stack/pharos/internal/fielderr"
	"github.com/pharos-stack/pharos/internal/logrule"
)

func TestParseTellsPathAndPlaceOfEveryMistake(t *testing.T) {
	kinds := Kinds(Builtin(nil))
	for name, c := range map[string]struct {
		text string
		want []string // "field code line:column" or a part of the message
	}{
		"unknown field": {"apiVersion: pharos/v1\nkind: LogMonitor\nmetadata:\n  name: a\nspec:\n  title: A\n  colums: []\n",
			[]string{"spec.colums unknown_field line 7, column 3: "}},
		"deep and several": {"apiVersion: pharos/v1\nkind: LogMonitor\nmetadata: {name: a, nam: b}\nspec:\n  window: 1 minute\n  columns:\n    - name: x\n      split: {delimiter: ',', index: first}\n",
			[]string{"metadata.nam unknown_field line 3, column 21: ", "spec.window bad_value line 5, column 11: ", "spec.columns[0].split.index bad_type line 8, column 38: "}},
		"second document": {"apiVersion: pharos/v1\nkind: Channel\nmetadata: {name: a}\nspec: {title: A, type: webhook}\n---\napiVersion: pharos/v2\nkind: Channels\n",
			[]string{"documents[1].kind bad_kind line 7, column 7: ", "documents[1].apiVersion bad_api_version line 6, column 13: "}},
		"given twice":    {"apiVersion: pharos/v1\nkind: Channel\nmetadata: {name: a}\nspec:\n  title: A\n  title: B\n", []string{"spec.title duplicate_field line 6, column 3: "}},
		"no YAML":        {"apiVersion: [", []string{" bad_yaml line "}},
		"alias bomb":     {"a: &a [x, x]\nb: [*a, *a]\n", []string{" bad_yaml "}},
		"json":           {`{"apiVersion":"pharos/v1","kind":"Channel","metadata":{"name":"a"},"spec":{"titel":"A"}}`, []string{"spec.titel unknown_field there is no field"}},
		"too deep":       {strings.Repeat("[", 100) + strings.Repeat("]", 100), []string{" bad_yaml "}},
		"nothing usable": {"hello", []string{" bad_type line 1, column 1: ", "kind required ", "apiVersion bad_api_version "}},
	} {
		_, err := kinds.Parse([]byte(c.text))
		var es fielderr.Errors
		if !errors.As(err, &es) || len(es) != len(c.want) {
			t.Errorf("%s: got %v, want %v", name, err, c.want)
			continue
		}
		for i, e := range es {
			if got := e.Field + " " + e.Code + " " + e.Message; !strings.HasPrefix(got, c.want[i]) && !(strings.HasPrefix(got, strings.TrimSuffix(c.want[i], "line ")) && strings.Contains(got, "line ")) {
				t.Errorf("%s: got %q, want %q", name, got, c.want[i])
			}
		}
	}
}

func TestParseReadsWhatPeopleWrite(t *testing.T) {
	text := "# two monitors\napiVersion: pharos/v1\nkind: LogMonitor\nmetadata: {name: a}\nspec:\n  title: 2024\n  type: minute\n  window: 1m\n  paths: [/var/log/a.log]\n" +
		"  time: {format: normal}\n  columns: [{name: s, split: {delimiter: \"\\t\", index: -1}}]\n  filters:\n    white: [{column: s, values: [200, true, ok]}]\n---\n"
	objects, err := Kinds(Builtin(nil)).Parse([]byte(text))
	if err != nil || len(objects) != 1 {
		t.Fatal(objects, err)
	}
	spec, err := SpecOf[logrule.Spec](objects[0])
	if err != nil {
		t.Fatal(err)
	}
	if spec.Title != "2024" || spec.Window.String() != "1m" || spec.Columns[0].Split.Index != -1 || spec.Columns[0].Split.Delimiter != "\t" ||
		strings.Join(spec.Filters.White[0].Values, " ") != "200 true ok" {
		t.Errorf("%+v", spec)
	}
}
