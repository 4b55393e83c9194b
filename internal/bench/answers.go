package bench

import (
	"context"
	"errors"
	"time"

	"github.com/answerfeed/answerfeed/app"
	"github.com/answerfeed/answerfeed/app/database"
	"github.com/answerfeed/answerfeed/app/event"
	"github.com/answerfeed/answerfeed/app/failure"
	"github.com/answerfeed/answerfeed/handlers"
)

// answers is the n-th handler of a place: it waits, if it is told to, lets the
// answer take effect, and notes that in the ledger.
type answers struct {
	place  place
	n      int // from 1 on
	delay  time.Duration
	ledger *ledger
	// failed is told of what will not heal: the run is then over.
	failed func(error)

	effect *effect
	err    error // of preparing it
}

func (a *answers) handler() handlers.Handler {
	return handlers.Handler{
		Name: a.place.handler(a.n),
		Migrate: func(ctx context.Context, db *database.DB) error {
			return a.place.tables(a.n, db.Driver()).create(ctx, db)
		},
		Topics: func(e handlers.Env) []handlers.Topic {
			if e.DB != nil { // else it is asked for the names alone
				a.effect, a.err = a.place.tables(a.n, e.DB.Driver()).effect(e.DB, e.Durability)
			}
			return []handlers.Topic{app.On(event.TopicAnswerAdded, a.decode, a.handle)}
		},
	}
}

func (a *answers) close() {
	if a.effect != nil {
		a.effect.close()
	}
}

// decode notes poison: it is settled here, since it gets no further.
func (a *answers) decode(payload []byte) (event.AnswerAdded, error) {
	e, err := event.DecodeAnswerAdded(payload)
	if err != nil {
		if i, ok := poisonIndex(payload); ok {
			a.ledger.settle(a.n, i, false)
		}
	}
	return e, err
}

func (a *answers) handle(ctx context.Context, e event.AnswerAdded) error {
	i, ok := index(e.AnswerID)
	if !ok {
		return errors.New("this is no answer of the measurement")
	}
	if a.delay > 0 {
		timer := time.NewTimer(a.delay)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	if err := a.effect.committing.Do(ctx, e); err != nil {
		if v := failure.Classify(err); ctx.Err() == nil && v.Kind != failure.KindTransient {
			a.failed(err)
		}
		return err
	}
	a.ledger.settle(a.n, i, true)
	return nil
}
