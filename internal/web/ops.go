package web

import (
	"math"
	"net/http"
	"time"
)

// Queue is what waits for one handler on one topic.
type Queue struct {
	Handler, Topic string
	Ready          int64         // waiting, and due
	InFlight       int64         // taken by a worker, not yet settled
	Delayed        int64         // waiting for the time of its redelivery
	Dead           int64         // dead letters
	Oldest         time.Duration // age of the oldest that is ready or in flight; 0 when there is none
}

// Outbox is what waits in the outbox for a relay.
type Outbox struct {
	Waiting int64         // stored, and not yet with the transport
	Failing int64         // those among them that were tried in vain
	Oldest  time.Duration // age of the event that was stored first; 0 when there is none
}

// ReadyReport is the body of GET /readyz, and decides its status: 200 when
// Ready, else 503. Ready is for the start alone: once true it stays so while a
// dependency is away, because taking the worker out of service would not bring
// the dependency back, and the pages would be gone besides.
type ReadyReport struct {
	Ready        bool                  `json:"ready"`
	Dependencies map[string]Dependency `json:"dependencies"`
	// Quarantined are the handlers that are out of work, by name.
	Quarantined map[string]Quarantined `json:"quarantined,omitempty"`
}

// Quarantined is a handler whose attempts ignore the end of their time.
type Quarantined struct {
	Since time.Time `json:"since"`
	Stuck int       `json:"stuck"` // attempts that were given up and still run
}

// Dependency is one thing that the worker needs, such as its database.
type Dependency struct {
	Available bool      `json:"available"`
	Since     time.Time `json:"since"`            // when it became available, or went away
	Detail    string    `json:"detail,omitempty"` // what is wrong, for an operator; anybody who reaches the port can read it
}

// figures are the numbers of a queue, or the sum of a handler's queues.
type figures struct {
	Ready         int64   `json:"ready"`
	InFlight      int64   `json:"in_flight"`
	Pending       int64   `json:"pending"` // ready + in flight
	Delayed       int64   `json:"delayed"`
	Dead          int64   `json:"dead"`
	OldestSeconds float64 `json:"oldest_seconds"` // to the millisecond
}

func (f *figures) add(q Queue) {
	f.Ready += q.Ready
	f.InFlight += q.InFlight
	f.Pending += q.Ready + q.InFlight
	f.Delayed += q.Delayed
	f.Dead += q.Dead
	f.OldestSeconds = max(f.OldestSeconds, seconds(q.Oldest))
}

// seconds is a duration to the millisecond.
func seconds(d time.Duration) float64 { return math.Round(d.Seconds()*1000) / 1000 }

type handlerBacklog struct {
	figures
	Topics map[string]*figures `json:"topics"`
}

type outboxBacklog struct {
	Waiting       int64   `json:"waiting"`
	Failing       int64   `json:"failing"`
	OldestSeconds float64 `json:"oldest_seconds"` // to the millisecond
}

func (s *Server) apiBacklog(w http.ResponseWriter, r *http.Request) error {
	if _, err := strictParams(r); err != nil {
		return err
	}
	queues, err := s.opts.Backlog(r.Context())
	if err != nil {
		return err
	}
	outbox, err := s.opts.Outbox(r.Context())
	if err != nil {
		return err
	}
	return ok(w, struct {
		Handlers map[string]*handlerBacklog `json:"handlers"`
		Outbox   outboxBacklog              `json:"outbox"`
	}{byHandler(queues), outboxBacklog{outbox.Waiting, outbox.Failing, seconds(outbox.Oldest)}})
}

func byHandler(queues []Queue) map[string]*handlerBacklog {
	handlers := map[string]*handlerBacklog{}
	for _, q := range queues {
		h := handlers[q.Handler]
		if h == nil {
			h = &handlerBacklog{Topics: map[string]*figures{}}
			handlers[q.Handler] = h
		}
		if h.Topics[q.Topic] == nil {
			h.Topics[q.Topic] = &figures{}
		}
		h.add(q)
		h.Topics[q.Topic].add(q)
	}
	return handlers
}

// livez answers as long as the process can answer anything: it asks nobody.
func (s *Server) livez(w http.ResponseWriter, _ *http.Request) error {
	return ok(w, struct {
		Alive bool `json:"alive"`
	}{true})
}

func (s *Server) readyz(w http.ResponseWriter, r *http.Request) error {
	report := s.opts.Ready(r.Context())
	dependencies := make(map[string]Dependency, len(report.Dependencies)) // {} rather than null
	for name, d := range report.Dependencies {
		d.Since = d.Since.UTC()
		dependencies[name] = d
	}
	report.Dependencies = dependencies
	status := http.StatusOK
	if !report.Ready {
		status = http.StatusServiceUnavailable
	}
	writeJSON(w, status, "application/json", report)
	return nil
}

func (s *Server) metrics(w http.ResponseWriter, r *http.Request) error {
	s.opts.Metrics.ServeHTTP(w, r)
	return nil
}
