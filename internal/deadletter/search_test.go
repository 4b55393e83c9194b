package deadletter_test

import (
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/answerfeed/answerfeed/internal/deadletter"
)

func TestSearchFindsATextHoweverItsProducerEscapedIt(t *testing.T) {
	onEach(t, func(t *testing.T, driver string) {
		r := newRig(t, driver)
		payloads := []string{
			`{"title":"Äpfel & 😀 50%_/ \"x\""}`,
			`{"title":"\u00c4pfel \u0026 \ud83d\ude00 50%_\/ \"x\""}`,
			`{"title":"\u00C4pfel \u0026 \uD83D\uDE00 50\u0025\u005f\u002f \u0022x\u0022"}`,
			`{"body":"{\"title\":\"\\u00c4PFEL \\u0026 \\ud83d\\ude00 50%_/ \\\"x\\\"\"}"}`,
			`{"title":"\u00c4pfel \u0026 \ud83d\ude00 50%_/ \"x\"`, // cut off, and no JSON
		}
		var all []string
		for i, payload := range payloads {
			l := letter(identity(strconv.Itoa(i)), func(l *deadletter.Letter) { l.Payload, l.Error = []byte(payload), "e" })
			r.save(t, l)
			all = append(all, l.ID)
		}
		for i, payload := range []string{`{"title":"Apfel \\ \ud83d \u00"}`, "\\", `{"t":"\ud83d\u00c5pfel"}`, "\xff\\u00"} {
			r.save(t, letter(identity("other"+strconv.Itoa(i)), func(l *deadletter.Letter) { l.Payload, l.Error = []byte(payload), "e" }))
		}
		inMetadata := letter(identity("metadata"), func(l *deadletter.Letter) { l.Metadata, l.Error = map[string]string{"k": "<Birnen>\u2028"}, "e" })
		r.save(t, inMetadata)
		find := func(text string) (ids []string) {
			page, err := r.desk.List(t.Context(), deadletter.Filter{Text: text}, 100, "")
			require.NoError(t, err)
			for _, l := range page.Letters {
				ids = append(ids, l.ID)
			}
			return ids
		}
		for _, text := range []string{"Äpfel", "äPFEL", "ÄPFEL & 😀", "50%_/", `"x"`} {
			require.ElementsMatch(t, all, find(text), text)
		}
		require.Empty(t, find("50_%"), "no pattern")
		require.Equal(t, []string{inMetadata.ID}, find("<birnen>\u2028"))
		require.NotEmpty(t, find(`\u00c4pfel`), "as it is written")
	})
}
