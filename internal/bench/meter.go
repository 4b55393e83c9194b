package bench

import (
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
)

// meter reads what this process takes, as /metrics tells it. It is for one
// goroutine.
type meter struct {
	registry *prometheus.Registry
	peak     float64 // bytes
}

func newMeter() (*meter, error) {
	m := &meter{registry: prometheus.NewRegistry()}
	if err := m.registry.Register(collectors.NewProcessCollector(collectors.ProcessCollectorOpts{})); err != nil {
		return nil, fmt.Errorf("measuring this process: %w", err)
	}
	return m, nil
}

// read returns the processor time so far, and notes the resident memory.
func (m *meter) read() (time.Duration, error) {
	all, err := gathered(m.registry)
	if err != nil {
		return 0, fmt.Errorf("measuring this process: %w", err)
	}
	m.peak = max(m.peak, all["process_resident_memory_bytes"])
	return time.Duration(all["process_cpu_seconds_total"] * float64(time.Second)), nil
}

func (m *meter) peakMB() float64 { return m.peak / (1 << 20) }

// gathered are the metrics by name, and by name/outcome, each the sum over its
// other labels; also those that there are beside an error.
func gathered(g prometheus.Gatherer) (map[string]float64, error) {
	families, err := g.Gather()
	all := map[string]float64{}
	for _, f := range families {
		for _, metric := range f.GetMetric() {
			value := metric.GetCounter().GetValue() + metric.GetGauge().GetValue()
			all[f.GetName()] += value
			for _, l := range metric.GetLabel() {
				if l.GetName() == "outcome" {
					all[f.GetName()+"/"+l.GetValue()] += value
				}
			}
		}
	}
	return all, err
}
