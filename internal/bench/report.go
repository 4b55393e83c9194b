package bench

import "math"

// Report is what was measured.
type Report struct {
	Scenario string `json:"scenario"`
	// Figures of the last step, which is the hardest.
	Figures
	Settings Words `json:"settings"`
	// Steps are all, the last one included.
	Steps []Figures `json:"steps"`
}

// Figures are those of one step.
type Figures struct {
	Step     string `json:"step"`
	Handlers int    `json:"handlers"`
	// Messages is how many events were drained, or published at the rate.
	Messages int `json:"messages"`
	// Waiting is how many events waited when the drain began.
	Waiting int `json:"waiting"`

	// PublishPerSecond counts events, each once, whatever the number of
	// handlers; PublishMicros is what the producer pays for one.
	PublishPerSecond float64 `json:"publish_per_second"`
	PublishMicros    float64 `json:"publish_us_per_message"`
	// DrainPerSecond counts effects of all handlers, and poison that was put
	// aside.
	DrainPerSecond float64 `json:"drain_per_second"`
	// Latency is from the moment at which an event was due to be published to
	// the commit of its effect, at SteadyPerSecond events a second.
	Latency         Latency `json:"latency_ms"`
	SteadyPerSecond float64 `json:"steady_per_second"`
	// CPUMicros is of this process alone, for a message of one handler; in
	// Steady it includes publishing.
	CPUMicros float64 `json:"cpu_us_per_message"`
	// RSSMB is the most resident memory meanwhile.
	RSSMB float64 `json:"rss_mb"`

	// Redeliveries are deliveries beyond the first of each message.
	Redeliveries int64 `json:"redeliveries"`
	// DeadLetters, Effects and Left account for every event and handler: in a
	// dead queue, taken effect, or still queued.
	DeadLetters int64 `json:"dead_letters"`
	Effects     int64 `json:"effects"`
	Left        int64 `json:"left"`
	// Doubled are effects beyond the first of each event.
	Doubled int64 `json:"doubled"`
}

// Latency is in milliseconds.
type Latency struct {
	P50 float64 `json:"p50"`
	P95 float64 `json:"p95"`
	P99 float64 `json:"p99"`
	Max float64 `json:"max"`
}

// Words are the settings that matter.
type Words struct {
	Transport       string  `json:"transport"`
	Database        string  `json:"database"`
	Durability      string  `json:"durability"`
	Confirms        string  `json:"confirms"`
	Acknowledgement string  `json:"acknowledgement"`
	Window          int     `json:"window"`
	GroupCommit     int     `json:"group_commit"`
	PayloadBytes    int     `json:"payload_bytes"`
	Callers         int     `json:"publish_callers"`
	EachCall        int     `json:"publish_messages_a_call"`
	Rate            float64 `json:"rate"`
	HandlerDelayMS  float64 `json:"handler_delay_ms"`
	PoisonPercent   int     `json:"poison_percent"`
	Processors      int     `json:"processors"`
	Go              string  `json:"go"`
}

// figure is to one decimal, which is more than any of them is worth.
func figure(v float64) float64 { return math.Round(v*10) / 10 }
