package app

import (
	"sync"

	"github.com/prometheus/client_golang/prometheus"
)

// registrations registers metrics. Those of a start that failed are given back,
// so that the next start on the same registry can register its own.
type registrations struct {
	*prometheus.Registry

	mu  sync.Mutex
	all []prometheus.Collector
}

// Register implements prometheus.Registerer.
func (r *registrations) Register(c prometheus.Collector) error {
	if err := r.Registry.Register(c); err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.all = append(r.all, c)
	return nil
}

// MustRegister implements prometheus.Registerer.
func (r *registrations) MustRegister(all ...prometheus.Collector) {
	for _, c := range all {
		if err := r.Register(c); err != nil {
			panic(err) //nolint:forbidigo // what its interface says
		}
	}
}

// giveBack unregisters all.
func (r *registrations) giveBack() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, c := range r.all {
		r.Unregister(c)
	}
	r.all = nil
}
