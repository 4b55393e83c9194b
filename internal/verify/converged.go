package verify

import "context"

const (
	// inFlight is how many messages a handler of a worker has in flight.
	inFlight = 250
	// repeats is how often a fault may make what is in flight come again: a
	// connection that is cut may be so twice.
	repeats = 2
)

// compareConverged counts the effects of the handler without an inbox, and
// returns which events had one. What comes again is bounded by the faults: each
// repeats at most what was in flight, and each publication that failed at most
// its batch.
func (r *run) compareConverged(ctx context.Context) (converged []bool, err error) {
	converged = make([]bool, len(r.ledger.kinds))
	effects := int64(0)
	err = eachConverged(ctx, r.db, func(id string, n int) {
		i, ok := parse(id)
		if !ok || i.number < 0 || i.number >= len(converged) {
			r.report.Unexpected++ // nobody published it
			return
		}
		converged[i.number] = true
		r.report.Converged++
		effects += int64(n)
	})
	if err != nil {
		return nil, err
	}
	faults := r.report.EndedAlone
	for _, n := range r.report.Faults {
		faults += n
	}
	r.report.Repeated = max(0, effects-int64(r.ledger.messages))
	r.report.RepeatedBound = int64((faults+1)*workers*inFlight*repeats + r.ledger.failures*publishBatch)
	if r.report.Repeated > r.report.RepeatedBound {
		r.problem("%d effects of the handler without an inbox were repeated, more than the %d that the faults explain", r.report.Repeated, r.report.RepeatedBound)
	}
	return converged, nil
}
