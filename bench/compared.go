package main

import (
	"fmt"

	"github.com/answerfeed/answerfeed/app/database"
)

// compared explains a page's figures.
func (r *result) compared(transport string) []string {
	s := r.Settings
	store := "PostgreSQL with `synchronous_commit=on`"
	if s.Database == database.SQLite {
		store = "SQLite with `synchronous=FULL`"
	}
	where := "in one quorum queue, published and confirmed"
	if transport == onSQL {
		where = "in the peer's own table, which was vacuumed and analysed, after a checkpoint"
	}
	lines := []string{
		fmt.Sprintf("**Drain.** %s answer-added events of about 250 bytes wait %s; a tenth of that for slow peers, whose rate is what is asked. "+
			"Each peer is a process of its own, measured from the order to start to its last commit. The effect is the same code for all (`bench/effect`): the event decoded and "+
			"validated, its row upserted, the counter of its question raised, in %s. After each drain every event has its row, the counters say that "+
			"none took effect twice, and the queue is empty; else the run fails.", figure(float64(s.Messages)), where, store),
		fmt.Sprintf("**The worker** is the whole App with its defaults: router, middleware (correlation, metrics, dead letter, redelivery, retry, time limit, recover, limits), transport, web server, "+
			"desk, probes, relay. Its window is %d; commits are shared by up to %d events.", window, groupCommit),
		fmt.Sprintf("**River** has %d workers, as many connections for the effect, and fetches every %s: with its defaults, every 100 ms, it cannot do more than 1,000 a second. "+
			"It marks jobs as completed in batches, after the effect.", riverWorkers, riverCooldown),
		fmt.Sprintf("**Publish to visible** is from the moment a message was due to be published, by another process, to the moment a reader of the database sees its row, looking every %s.", look),
		fmt.Sprintf("**Two workers** share one queue; the handler waits %s and has no effect.", scaleWait),
		"**Processor time of the machine** is what all its processes took meanwhile, servers included: on a machine with other work, that too.",
	}
	if transport == onAMQP {
		return append(lines,
			fmt.Sprintf("**The bare loop** has nothing of what the worker has: batches of %d (prefetch %d), a transaction and an acknowledgement a batch; the first bad message ends it.", bareBatch, barePrefetch),
			fmt.Sprintf("**Stock** is Watermill's router on watermill-amqp's durable-queue preset, prefetch 1, once with one handler and a transaction a message, once with %d handlers on the queue and group commit, up to %d events.", manyWays, groupCommit),
			fmt.Sprintf("**Celery** is its prefork pool of %d processes; the same two statements in Python (`bench/answers.py`); a classic queue, since it knows no quorum queues; measured from its first effect, not from its start.", celeryProcesses),
			"**Publishing** is to a fanout exchange with one quorum queue behind it, half as many messages, from a process that does nothing else; 1,000 at most are unconfirmed. The worker "+
				"also asks for unroutable messages to come back, and fails on them; the bare client does not.")
	}
	return append(lines,
		fmt.Sprintf("**Backlogs.** The worker handles %s messages while %s, and in the larger backlog %s, wait behind them all the time.",
			figure(float64(s.Messages)), figure(float64(s.Waiting/fewer)), figure(float64(s.Waiting))),
		fmt.Sprintf("**watermill-sql** is Watermill's router on its stock subscriber, with %s messages waiting; measured over %s at most, since it is slow then.", figure(float64(s.Waiting/2)), watermillSQLWithin),
		fmt.Sprintf("**Room** is the queue table with its indexes, as PostgreSQL's `pg_total_relation_size` says: with %s messages in it; and after a worker has handled them all, once its "+
			"housekeeping, which looks once a minute, has given the room back (or %s later). Measured in the first round.", figure(float64(s.Waiting)), tidyWithin))
}

// practice says how each peer treats a message.
func practice(transport string) [][]string {
	alone := "a durable transaction a message"
	shared := fmt.Sprintf("a durable transaction of up to %d", groupCommit)
	if transport == onAMQP {
		return [][]string{
			{"worker", "persistent, quorum queue", "after the commit, many at once", fmt.Sprint(window), shared},
			{"bare loop", "persistent, quorum queue", "after the commit, one a batch", fmt.Sprint(barePrefetch), fmt.Sprintf("a durable transaction of up to %d", bareBatch)},
			{"128 stock handlers", "persistent, quorum queue", "after the commit, one a message", fmt.Sprint(manyWays), shared},
			{"stock, one handler", "persistent, quorum queue", "after the commit, one a message", "1", alone},
			{"Celery", "persistent, classic queue", "late: after the commit, one a message", fmt.Sprintf("%d × 16", celeryProcesses), alone},
		}
	}
	return [][]string{
		{"worker", "committed, flushed", "after the commit: rows deleted, many a transaction, not waiting for the flush", fmt.Sprint(window), shared},
		{"River", "committed, flushed", "after the commit: rows updated, many a transaction", fmt.Sprint(riverWorkers), alone},
		{"watermill-sql", "committed, flushed", "after the commit: the group's offset", "1", alone},
	}
}
