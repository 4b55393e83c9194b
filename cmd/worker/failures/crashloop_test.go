package failures

import (
	"fmt"
	"testing"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/stretchr/testify/require"

	"github.com/answerfeed/answerfeed/app/deadletter"
	"github.com/answerfeed/answerfeed/handlers"
)

// A message that the process dies of is a letter after five marks, and the
// hundreds that were in flight with it each time are all handled.
func TestCrashLoop(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, p place) {
		// Twice it comes back and is not suspected yet; then it dies with its
		// mark five times, and is a letter when it comes the eighth time.
		const innocent, deaths = 300, 7
		client := p.open(t, []handlers.Handler{recorder(nothingBefore)})
		var msgs []*message.Message
		for i := range innocent {
			msgs = append(msgs, message.NewMessage(fmt.Sprintf("innocent-%03d", i), []byte("innocent")))
		}
		msgs = append(msgs[:innocent/2], append([]*message.Message{message.NewMessage("guilty", []byte(deadly))}, msgs[innocent/2:]...)...)
		require.NoError(t, client.Publisher().Publish(tried, msgs...))
		db := p.reader(t)
		had := 0
		for over := func() bool {
			return ask[int](t, db, countLetters) > 0 && ask[int](t, db, `SELECT count(*) FROM effects`) == innocent
		}; p.begin(t).dies(t, over); {
			had++
			require.LessOrEqual(t, had, deaths)
		}
		require.Equal(t, deaths, had)
		requireEffects(t, db, innocent)
		requireEmpty(t, client)
		letters := p.letters(t)
		require.Len(t, letters, 1)
		l := letters[0]
		require.Equal(t, "crash-loop", l.Reason)
		require.Equal(t, "guilty", l.Identity)
		require.Equal(t, deadly, string(l.Payload))
		require.Equal(t, 5, l.Attempts)
		require.Equal(t, deadletter.Dead, l.State)
		require.Zero(t, ask[int](t, db, `SELECT count(*) FROM crash_marks WHERE identity <> 'guilty'`), "marks of others that are left")
	})
}
