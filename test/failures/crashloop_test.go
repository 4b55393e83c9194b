package failures

import (
	"context"
	"database/sql"
	"fmt"
	"math/bits"
	"testing"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/stretchr/testify/require"

	"github.com/answerfeed/answerfeed/app"
	"github.com/answerfeed/answerfeed/handlers"
	"github.com/answerfeed/answerfeed/internal/deadletter"
)

// Messages that the process dies of are letters, and the hundreds that were in
// flight with them each time are all handled. The number of deaths is that of
// halvings, and those alone.
func TestCrashLoop(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct{ innocent, guilty int }{"one": {300, 1}, "several": {60, 3}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			onEach(t, func(t *testing.T, p place) {
				client := p.open(t, []handlers.Handler{recorder(nothingBefore)})
				publishGuilty(t, client, test.innocent, test.guilty)
				deaths := p.dieOfGuilty(t, test.innocent, test.guilty)
				t.Logf("%d deaths", deaths)
				// Once when it is delivered first, once for each halving, of
				// which the first is of all; then alone.
				require.LessOrEqual(t, deaths, test.guilty*(1+bits.Len(uint(test.innocent+test.guilty))+5))
				p.requireGuilty(t, test.innocent, test.guilty)
				requireEmpty(t, client)
			})
		})
	}
}

// publishGuilty publishes guilty messages in the middle of innocent ones.
func publishGuilty(t *testing.T, client *app.Client, innocent, guilty int) {
	t.Helper()
	var msgs []*message.Message
	for i := range innocent {
		if i == innocent/2 {
			for g := range guilty {
				msgs = append(msgs, message.NewMessage(fmt.Sprint("guilty-", g), []byte(deadly)))
			}
		}
		msgs = append(msgs, message.NewMessage(fmt.Sprintf("innocent-%03d", i), []byte("innocent")))
	}
	require.NoError(t, client.Publisher().Publish(tried, msgs...))
}

// dieOfGuilty runs workers, one after the other, until all is over, and
// returns how many have died.
func (p place) dieOfGuilty(t *testing.T, innocent, guilty int) (deaths int) {
	t.Helper()
	db := p.reader(t)
	over := func() bool {
		return ask[int](t, db, countLetters) >= guilty && ask[int](t, db, `SELECT count(*) FROM effects`) >= innocent
	}
	for p.begin(t).dies(t, over) {
		deaths++
		require.LessOrEqual(t, deaths, 100)
		p.endLeases(t, db)
	}
	return deaths
}

// endLeases gives back what a worker had that died, without the 15 s that its
// leases last.
func (p place) endLeases(t *testing.T, db *sql.DB) {
	t.Helper()
	if p.amqp() {
		return
	}
	query := `UPDATE queue_messages SET due_at = 1 WHERE token <> 0`
	if p.postgres() {
		query = `UPDATE queue_messages SET leased_until = 0`
	}
	_, err := db.ExecContext(context.WithoutCancel(t.Context()), query)
	require.NoError(t, err)
}

func (p place) requireGuilty(t *testing.T, innocent, guilty int) {
	t.Helper()
	db := p.reader(t)
	requireEffects(t, db, innocent)
	letters := p.letters(t)
	require.Len(t, letters, guilty)
	for _, l := range letters {
		require.Equal(t, "crash-loop", l.Reason)
		require.Contains(t, l.Identity, "guilty-")
		require.Equal(t, deadly, string(l.Payload))
		require.Equal(t, 5, l.Attempts)
		require.Equal(t, deadletter.Dead, l.State)
	}
	require.Zero(t, ask[int](t, db, `SELECT count(*) FROM suspect_groups WHERE worker <> '' OR identity LIKE 'innocent%'`), "groups that are left")
	require.Zero(t, ask[int](t, db, `SELECT count(*) FROM workers`), "workers that are left")
	require.Zero(t, ask[int](t, db, `SELECT count(*) FROM crash_marks`))
}
