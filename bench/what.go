package main

import (
	"context"
	"slices"
)

// The transports that are measured: pages of a report.
const (
	onAMQP = "amqp"
	onSQL  = "sql"
)

// What is measured, by the names of -peers, and of series.
const (
	peerWorker = "worker"     // the whole App
	peerBare   = "bare"       // amqp091 in a loop
	peerMany   = "stock-many" // 128 stock handlers, group commit
	peerStock  = "stock"      // one stock handler, a transaction a message
	peerCelery = "celery"

	publishSlices     = "publish-slices"
	publishConcurrent = "publish-concurrent"
	publishBare       = "publish-bare"
	publishStock      = "publish-stock"
	latency           = "latency"
	scale             = "scale"

	sqlWorker        = "sql-worker"
	peerRiver        = "river"
	peerWatermillSQL = "watermill-sql"
	sqlBacklog       = "sql-backlog"
	sqlLatency       = "sql-latency"
	sqlScale         = "sql-scale"
	sqlRoom          = "sql-room"

	few, many = "-few", "-many" // waiting, of sqlBacklog
	memory    = "-memory"
	processor = "-processor"
	machine   = "-machine"
	busy      = "machine-busy"
)

// measurement is one thing that is measured once a round.
type measurement struct {
	name, transport string
	run             func(ctx context.Context, b *bench) error
}

// all are the measurements, in the order of a first round.
func all() []measurement {
	drain := func(peer string, share int) measurement {
		return measurement{peer, onAMQP, func(ctx context.Context, b *bench) error { return b.drain(ctx, peer, b.Messages/share) }}
	}
	publish := func(name string) measurement {
		return measurement{name, onAMQP, func(ctx context.Context, b *bench) error { return b.publish(ctx, name) }}
	}
	return []measurement{
		drain(peerWorker, 1), drain(peerBare, 1), drain(peerMany, 1), drain(peerStock, slower), drain(peerCelery, slower),
		publish(publishSlices), publish(publishBare), publish(publishConcurrent), publish(publishStock),
		{latency, onAMQP, func(ctx context.Context, b *bench) error { return b.latency(ctx, latency, onAMQP) }},
		{scale, onAMQP, func(ctx context.Context, b *bench) error { return b.scale(ctx, scale, onAMQP) }},

		{sqlWorker, onSQL, func(ctx context.Context, b *bench) error { return b.drainSQL(ctx) }},
		{peerRiver, onSQL, func(ctx context.Context, b *bench) error { return b.drainRiver(ctx, b.Messages/slower) }},
		{peerWatermillSQL, onSQL, func(ctx context.Context, b *bench) error { return b.drainWatermillSQL(ctx, b.Waiting/2) }},
		{sqlBacklog, onSQL, func(ctx context.Context, b *bench) error { return b.backlogs(ctx) }},
		{sqlLatency, onSQL, func(ctx context.Context, b *bench) error { return b.latency(ctx, sqlLatency, onSQL) }},
		{sqlScale, onSQL, func(ctx context.Context, b *bench) error { return b.scale(ctx, sqlScale, onSQL) }},
		{sqlRoom, onSQL, func(ctx context.Context, b *bench) error { return b.room(ctx) }},
	}
}

// measurements are the names of all on these transports.
func measurements(transports ...string) (names []string) {
	for _, m := range all() {
		if slices.Contains(transports, m.transport) {
			names = append(names, m.name)
		}
	}
	return names
}

const (
	perSec = "messages/s"
	ms     = "ms"
	mb     = "MB"
	us     = "µs"
)

// meaning says what a series is, and on which pages it stands; the tables have
// this order.
type meaning struct {
	name, what, unit string
	pages            []string
}

func meanings() []meaning {
	amqp, sql, both := []string{onAMQP}, []string{onSQL}, []string{onAMQP, onSQL}
	return []meaning{
		{peerWorker, "drain on RabbitMQ: the worker, all of it", perSec, amqp},
		{peerBare, "drain on RabbitMQ: bare amqp091 loop, batches of 256", perSec, amqp},
		{peerMany, "drain on RabbitMQ: 128 stock Watermill handlers, group commit", perSec, amqp},
		{peerStock, "drain on RabbitMQ: stock Watermill, one handler, a transaction a message", perSec, amqp},
		{peerCelery, "drain on RabbitMQ: Celery, 8 processes, a transaction a message", perSec, amqp},
		{sqlWorker, "drain on PostgreSQL: the worker, all of it", perSec, sql},
		{peerRiver, "drain on PostgreSQL: River, 100 workers, a transaction a message", perSec, both},
		{sqlBacklog + few, "the worker with the smaller backlog behind", perSec, sql},
		{sqlBacklog + many, "the worker with the larger backlog behind", perSec, sql},
		{peerWatermillSQL, "stock watermill-sql with half of the larger backlog", perSec, sql},
		{publishBare, "publish: bare amqp091, 1,000 confirmations outstanding", perSec, amqp},
		{publishSlices, "publish: the worker, two callers, slices of 500", perSec, amqp},
		{publishConcurrent, "publish: the worker, 1,000 callers, a message each", perSec, amqp},
		{publishStock, "publish: stock watermill-amqp, confirming, 64 callers and channels", perSec, amqp},
		{latency + "-p50", "publish to visible at 500 messages/s on RabbitMQ, median", ms, amqp},
		{latency + "-p99", "publish to visible at 500 messages/s on RabbitMQ, 99th percentile", ms, amqp},
		{sqlLatency + "-p50", "publish to visible at 500 messages/s on PostgreSQL, median", ms, sql},
		{sqlLatency + "-p99", "publish to visible at 500 messages/s on PostgreSQL, 99th percentile", ms, sql},
		{scale + "-1", "RabbitMQ: one worker, concurrency 20, a handler that waits 5 ms", perSec, amqp},
		{scale + "-2", "RabbitMQ: two such workers on one queue", perSec, amqp},
		{sqlScale + "-1", "PostgreSQL: one worker, concurrency 20, a handler that waits 5 ms", perSec, sql},
		{sqlScale + "-2", "PostgreSQL: two such workers on one queue", perSec, sql},
		{sqlRoom + "-before", "queue table and indexes with the larger backlog", mb, sql},
		{sqlRoom + "-after", "the same, once all of it was handled and the worker had tidied up", mb, sql},
		{sqlRoom + "-seconds", "how long after the last message that was", "s", sql},
		{peerWorker + memory, "resident memory while draining RabbitMQ, at its highest: the worker", mb, amqp},
		{peerBare + memory, "the same: bare loop", mb, amqp},
		{peerMany + memory, "the same: 128 stock handlers", mb, amqp},
		{peerStock + memory, "the same: stock, one handler", mb, amqp},
		{sqlWorker + memory, "resident memory while draining PostgreSQL, at its highest: the worker", mb, sql},
		{sqlBacklog + many + memory, "the same, with the larger backlog behind", mb, sql},
		{peerRiver + memory, "the same: River", mb, sql},
		{peerWorker + processor, "processor time a message of the process on RabbitMQ: the worker", us, amqp},
		{peerBare + processor, "the same: bare loop", us, amqp},
		{peerMany + processor, "the same: 128 stock handlers", us, amqp},
		{peerStock + processor, "the same: stock, one handler", us, amqp},
		{peerWorker + machine, "processor time a message of all processes of the machine, broker and database included: the worker", us, amqp},
		{peerBare + machine, "the same: bare loop", us, amqp},
		{sqlWorker + processor, "processor time a message of the process on PostgreSQL: the worker", us, sql},
		{peerRiver + processor, "the same: River", us, sql},
		{sqlWorker + machine, "processor time a message of all processes of the machine, the database included: the worker", us, sql},
		{peerRiver + machine, "the same: River", us, sql},
		{busy, "processor time taken by others before the round", "%", both},
	}
}

// goals are the targets, and on which pages they stand.
func (r *result) goals() {
	amqp, sql := []string{onAMQP}, []string{onSQL}
	r.ratio(amqp, "drain: worker to bare loop", 0.6, peerWorker, peerBare)
	r.ratio(amqp, "drain: worker to stock, one handler", 12, peerWorker, peerStock)
	r.ratio(amqp, "drain: worker to 128 stock handlers", 1.2, peerWorker, peerMany)
	r.ratio(amqp, "drain: worker on RabbitMQ to River", 8, peerWorker, peerRiver)
	r.ratio(amqp, "drain: worker to Celery", 12, peerWorker, peerCelery)
	r.ratio(amqp, "publish in slices: worker to bare", 0.7, publishSlices, publishBare)
	r.ratio(amqp, "publish concurrently: worker to bare", 0.7, publishConcurrent, publishBare)
	r.ratio(amqp, "two workers to one, on RabbitMQ", 1.8, scale+"-2", scale+"-1")
	r.bound(amqp, "99th percentile, publish to visible, on RabbitMQ", 15, latency+"-p99")
	r.bound(amqp, "resident memory of the worker on RabbitMQ", 150, peerWorker+memory)

	r.ratio(sql, "drain: worker on PostgreSQL to River", 8, sqlWorker, peerRiver)
	r.ratio(sql, "worker: larger backlog to smaller", 0.8, sqlBacklog+many, sqlBacklog+few)
	r.ratio(sql, "worker with the larger backlog to watermill-sql with half of it", 20, sqlBacklog+many, peerWatermillSQL)
	r.ratio(sql, "two workers to one, on PostgreSQL", 1.8, sqlScale+"-2", sqlScale+"-1")
	r.bound(sql, "99th percentile, publish to visible, on PostgreSQL", 15, sqlLatency+"-p99")
	r.bound(sql, "resident memory of the worker on PostgreSQL", 150, sqlWorker+memory)
	r.bound(sql, "queue table and indexes after the larger backlog", 10, sqlRoom+"-after")
}
