package verify

import (
	"context"
	"slices"
	"time"
)

// Report is what a run found.
type Report struct {
	Target string `json:"target"`
	Seed   uint64 `json:"seed"`
	// Confirmed events; Messages are those published, repeated ones included;
	// PublishFailures are calls that failed and were made again.
	Confirmed       int `json:"confirmed"`
	Messages        int `json:"messages"`
	PublishFailures int `json:"publish_failures"`
	// Confirmed = Effects + DeadLetters + Queued + Lost.
	Effects     int   `json:"effects"`
	DeadLetters int   `json:"dead_letters"`
	Queued      int64 `json:"queued"`
	Lost        int   `json:"lost"`
	// Stuck events came only after the broker was restarted in the end: see
	// settle.
	Stuck int `json:"stuck"`
	// LostIDs are the first of them, to be looked for in the logs.
	LostIDs []string `json:"lost_ids,omitempty"`
	// Doubled events took effect more than once. Unexpected ones came to
	// another end than they were made for.
	Doubled    int `json:"doubled"`
	Unexpected int `json:"unexpected"`
	// Redelivered are deliveries beyond one for each message.
	Redelivered int64 `json:"redelivered"`
	// Converged events took effect at the handler that has no inbox; Repeated
	// are its effects beyond one for each message, of which the faults explain
	// at most RepeatedBound.
	Converged     int   `json:"converged"`
	Repeated      int64 `json:"repeated"`
	RepeatedBound int64 `json:"repeated_bound"`

	// Faults by kind, Points by crash point; Cut are the connections that cuts
	// ended; EndedAlone are workers that ended by themselves, while a server
	// was away, and were started again.
	Faults     map[string]int `json:"faults"`
	Points     map[string]int `json:"crash_points,omitempty"`
	Cut        int            `json:"connections_cut"`
	EndedAlone int            `json:"ended_alone"`
	// Recovery is how long after a fault the next effect was: of a process
	// that replaced a killed one, or, after a server's, from when it answered.
	Recovery map[string]*Recovery `json:"recovery_ms"`

	Seconds float64 `json:"seconds"`
	// Problems fail the run, beside loss.
	Problems []string `json:"problems"`
	// Logs is a folder with the processes' logs, when the run did not pass.
	Logs string `json:"logs,omitempty"`

	finished bool
}

// Recovery is how long after faults of one kind there was a sign of life, in
// milliseconds.
type Recovery struct {
	Times  int   `json:"times"`
	Median int64 `json:"median"`
	Max    int64 `json:"max"`

	all []time.Duration
}

func newReport(o Options) *Report {
	return &Report{
		Target: o.Target.Name, Seed: o.Seed,
		Faults: map[string]int{}, Points: map[string]int{}, Recovery: map[string]*Recovery{}, Problems: []string{},
	}
}

// Passed tells that the run came to its end, and found nothing wrong.
func (r *Report) Passed() bool {
	return r.finished && r.Lost == 0 && r.Doubled == 0 && r.Unexpected == 0 && len(r.Problems) == 0
}

func (r *Report) recovered(f Fault, took time.Duration) {
	if f == CrashPoint {
		return // that is how long it took to reach the point
	}
	got := r.Recovery[string(f)]
	if got == nil {
		got = &Recovery{}
		r.Recovery[string(f)] = got
	}
	got.all = append(got.all, took)
	slices.Sort(got.all)
	got.Times = len(got.all)
	got.Median = got.all[len(got.all)/2].Milliseconds()
	got.Max = got.all[len(got.all)-1].Milliseconds()
}

// maxLostIDs is how many lost events a report names.
const maxLostIDs = 20

// Ends that an event came to, as bits.
const (
	inEffect = 1 << iota
	inLetters
)

// compare holds the tables against the ledger.
func (r *run) compare(ctx context.Context) error {
	r.Progress("comparing", 0, 1)
	came := make([]byte, len(r.ledger.kinds))
	book := func(id string, end byte) {
		i, ok := parse(id)
		if !ok || i.number < 0 || i.number >= len(came) || r.ledger.kinds[i.number] != i.kind {
			r.report.Unexpected++ // nobody published it
			return
		}
		came[i.number] |= end
	}
	err := eachEffect(ctx, r.db, func(id string, effects int) {
		book(id, inEffect)
		if effects > 1 {
			r.report.Doubled++
		}
	})
	if err == nil {
		err = eachLetter(ctx, r.db, func(id string, _ int) { book(id, inLetters) })
	}
	if err != nil {
		return err
	}
	converged, err := r.compareConverged(ctx)
	if err != nil {
		return err
	}
	for number, end := range came[:r.ledger.confirmed] {
		want := byte(inEffect)
		if r.ledger.kinds[number] == incurable {
			want = inLetters
		}
		switch {
		case end == 0 || !converged[number]:
			r.report.Lost++
			if len(r.report.LostIDs) < maxLostIDs {
				r.report.LostIDs = append(r.report.LostIDs, item{number, r.ledger.kinds[number]}.id())
			}
		case end != want:
			r.report.Unexpected++
		}
		if end&inEffect != 0 {
			r.report.Effects++
		} else if end != 0 {
			r.report.DeadLetters++
		}
	}
	r.report.Lost = max(0, r.report.Lost-int(r.report.Queued))
	r.report.Confirmed, r.report.Messages, r.report.PublishFailures = r.ledger.confirmed, r.ledger.messages, r.ledger.failures
	r.report.Redelivered = max(0, r.deliveries()-int64(r.ledger.messages))
	r.report.finished = true
	return nil
}
