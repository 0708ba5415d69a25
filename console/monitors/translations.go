package monitors

import (
	"context"

	"github.com/pharos-stack/pharos/console/api"
	"github.com/pharos-stack/pharos/internal/logrule"
)

// TranslationForms is a translation in both forms.
type TranslationForms struct {
	Script      string              `json:"script" doc:"One entry a line, such as 200 => Y"`
	Translation logrule.Translation `json:"translation" doc:"The same as entries"`
}

type convertIn struct {
	api.InWorkspace
	Body logrule.Translation
}
type convertOut struct{ Body TranslationForms }

// convert turns entries into a script and a script into entries, without loss.
func (m *Monitors) convert(_ context.Context, in *convertIn) (*convertOut, error) {
	if err := in.Body.Validate("translation"); err != nil {
		return nil, err
	}
	t, err := in.Body.Resolved()
	if err != nil {
		return nil, err
	}
	return &convertOut{Body: TranslationForms{Script: logrule.WriteTranslation(t), Translation: t}}, nil
}
