package faults

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/answerfeed/answerfeed/app"
)

// The transport is switched while there is a backlog: SQLite, then PostgreSQL,
// then RabbitMQ. A new worker starts beside the old one, on the same database,
// and the old one runs until its queues are empty. A producer that switches
// does not know whether its last messages went out, and sends them again: yet
// nothing is lost, and no effect comes twice.
func TestSwitchedTransport(t *testing.T) {
	t.Parallel()
	const n, again = 6000, 500 // of the messages for the keeper; there are more events
	l, keep := newLedger(t, 12, 5*n), counted(0, n)
	publish := func(client *app.Client, first, last int) {
		require.NoError(t, client.Publisher().Publish(topicKept, keep[first:last]...))
		l.publish(t, client, first*len(l.events)/n, last*len(l.events)/n)
	}
	sqlite := onSQLite(t).with(tablesIn(sharedDatabase(t)))
	after := []place{sqlite.with(queuesIn(sharedDatabase(t))), sqlite.with(queuesAt(sharedBroker(t)))}

	old := sqlite
	for i, p := range after {
		oldQueues, queues := old.open(t, keeper()), p.open(t, keeper())
		first, last := i*n/len(after), (i+1)*n/len(after)
		switched := (first + last) / 2
		publish(oldQueues, first, switched)
		publish(queues, switched-again, last)
		require.Positive(t, waiting(t, oldQueues), "the old worker has nothing to do beside the new one")
		require.Positive(t, waiting(t, queues))
		oldWorker, newWorker := old.startProgram(t, "keeper"), p.startProgram(t, "keeper")
		oldWorker.drained(t)
		oldWorker.terminated(t)
		require.Zero(t, waiting(t, oldQueues))
		newWorker.terminated(t) // which may leave a backlog to the next round
		old = p
	}
	last := old.startProgram(t, "keeper")
	last.drained(t)
	l.check(t, last)
	requireKept(t, sqlite.reader(t), n)
}
