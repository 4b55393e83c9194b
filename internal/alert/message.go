package alert

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/answerfeed/answerfeed/internal/deadletter"
)

const (
	// named is how many problems a text names.
	named = 20
	// errorLength is how many characters of an error it tells.
	errorLength = 200
)

// problemJSON is a problem in the generic form.
type problemJSON struct {
	Fingerprint  string    `json:"fingerprint"`
	Handler      string    `json:"handler"`
	Topic        string    `json:"topic"`
	Reason       string    `json:"reason"`
	Error        string    `json:"error"`
	Letters      int       `json:"letters"`
	LastFailedAt time.Time `json:"last_failed_at"`
}

// encode makes the body of a request.
func encode(cfg Config, news, spikes []deadletter.Problem) ([]byte, error) {
	text := describe(cfg, news, spikes)
	if cfg.Form == Slack {
		// Slack's own markup is nothing but these three.
		text = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;").Replace(text)
		return json.Marshal(map[string]string{"text": text})
	}
	body := struct {
		Text   string        `json:"text"`
		New    []problemJSON `json:"new"`
		Spikes []problemJSON `json:"spikes"`
	}{text, problems(news), problems(spikes)}
	return json.Marshal(body)
}

func problems(all []deadletter.Problem) []problemJSON {
	list := []problemJSON{}
	for _, p := range all[:min(len(all), named)] {
		list = append(list, problemJSON{p.Fingerprint, p.Handler, p.Topic, p.Reason, short(p.Error), p.Letters, p.LastFailedAt})
	}
	return list
}

// describe tells it in words.
func describe(cfg Config, news, spikes []deadletter.Problem) string {
	var lines []string
	add := func(title string, all []deadletter.Problem) {
		if len(all) == 0 {
			return
		}
		lines = append(lines, title)
		for i, p := range all {
			if i == named {
				lines = append(lines, fmt.Sprintf("… and %d more: worker deadletters groups", len(all)-named))
				break
			}
			lines = append(lines, fmt.Sprintf("• %s, %s, %s: %s (%d letters; worker deadletters list --fingerprint %s)",
				p.Handler, p.Topic, p.Reason, short(p.Error), p.Letters, p.Fingerprint))
		}
	}
	add("New dead letters", news)
	add(fmt.Sprintf("Dead letters pile up: %d or more within %s", cfg.Spike, cfg.SpikeWithin), spikes)
	return strings.Join(lines, "\n")
}

// short is the first line of an error, not too much of it.
func short(text string) string {
	line, _, _ := strings.Cut(text, "\n")
	if runes := []rune(line); len(runes) > errorLength {
		return string(runes[:errorLength]) + "…"
	}
	return line
}
