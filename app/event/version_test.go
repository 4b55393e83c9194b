package event_test

import (
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/answerfeed/answerfeed/app/event"
)

func TestVersion_Before(t *testing.T) {
	small, large := event.Digest{1}, event.Digest{1, 2}
	for _, test := range []struct {
		name  string
		v, o  event.Version
		first bool
	}{
		{"earlier", event.Version{At: 1, Digest: large}, event.Version{At: 2, Digest: small}, true},
		{"later", event.Version{At: 2, Digest: small}, event.Version{At: 1, Digest: large}, false},
		{"same time, smaller digest", event.Version{At: 1, Digest: small}, event.Version{At: 1, Digest: large}, true},
		{"same time, larger digest", event.Version{At: 1, Digest: large}, event.Version{At: 1, Digest: small}, false},
		{"the same", event.Version{At: 1, Digest: small}, event.Version{At: 1, Digest: small}, false},
	} {
		t.Run(test.name, func(t *testing.T) { require.Equal(t, test.first, test.v.Before(test.o)) })
	}
}

// A question's text of each event counts over those before it, whatever their bytes hash to.
func TestAnEditCountsByItsTimeAndThenTheLaterCopy(t *testing.T) {
	noon := time.Date(2026, time.March, 1, 12, 0, 0, 0, time.UTC)
	asked, edited := noon.Add(-48*time.Hour), noon.Add(-24*time.Hour)
	for salt := range 50 { // of hashes
		title := strconv.Itoa(salt)
		copied := func(at, edited time.Time) event.QuestionAdded {
			return event.QuestionAdded{OccurredAt: asked, EditedAt: edited, CopiedAt: at, Title: "copied" + title}
		}
		var before event.Version
		for i, e := range []event.QuestionAdded{
			{OccurredAt: asked, Title: "asked" + title},
			{OccurredAt: asked, EditedAt: asked.Add(time.Microsecond), Title: "edited" + title},
			copied(noon.Add(-time.Hour), edited), copied(noon.Add(-time.Minute), edited), copied(noon.Add(-2*time.Hour), edited.Add(time.Second)),
			{OccurredAt: edited.Add(time.Minute), EditedAt: asked, Title: "published again" + title},
		} {
			e.QuestionID, e.Subject, e.Grade = "q1", "s", "g"
			payload, err := e.Encode()
			require.NoError(t, err)
			decoded, err := event.DecodeQuestionAdded(payload)
			require.NoError(t, err)
			require.True(t, before.Before(decoded.Version()), "%d after %s", i, title)
			before = decoded.Version()
		}
	}
}
