package rabbit

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/answerfeed/answerfeed/internal/transport"
)

const (
	// manageWithin bounds all questions to the management API at a start.
	manageWithin = 10 * time.Second
	// maxAnswer bounds one answer of it.
	maxAnswer = 1 << 20
)

// PolicyTrouble is what a broker's policy does to one of the worker's queues.
type PolicyTrouble struct {
	Queue, Policy string
	// Key is the policy's, such as message-ttl.
	Key string
	// Loses: messages can be lost by it. Otherwise the worker survives it.
	Loses bool
	// Text says what happens, and what to do.
	Text string
}

// checkPolicies logs what the policies do, where they can be seen: AMQP does
// not show them. It never keeps a worker from starting.
func (t *Transport) checkPolicies(ctx context.Context, subs []transport.Subscription) {
	if t.cfg.Management == "" || len(subs) == 0 {
		return
	}
	all, err := t.Policies(ctx, subs)
	if err != nil {
		t.cfg.Logger.Warn("the broker's policies could not be read; check transport.amqp.management", "error", err)
	}
	for _, p := range all {
		if p.Loses {
			t.cfg.Logger.Error("a policy of the broker can lose messages", "queue", p.Queue, "policy", p.Policy, "key", p.Key, "what", p.Text)
		} else {
			t.cfg.Logger.Warn("a policy of the broker hinders the worker", "queue", p.Queue, "policy", p.Policy, "key", p.Key, "what", p.Text)
		}
	}
}

// Policies asks the management API for the policies on the queues of the
// subscriptions, and returns what they do beside what they could read before an
// error. A queue that does not exist has none.
func (t *Transport) Policies(ctx context.Context, subs []transport.Subscription) ([]PolicyTrouble, error) {
	ctx, cancel := context.WithTimeout(ctx, manageWithin)
	defer cancel()
	api, err := newManagement(t.cfg)
	if err != nil {
		return nil, err
	}
	defer api.client.CloseIdleConnections()
	var all []PolicyTrouble
	for _, s := range subs {
		queue := t.cfg.Prefix + s.Queue()
		kinds := []struct {
			name string
			kind queueKind
		}{{queue, mainQueue}, {deadName(queue), deadQueue}, {lettersName(queue), lettersQueue}, {heldName(queue), heldQueue}}
		for _, d := range t.delays(s) {
			kinds = append(kinds, struct {
				name string
				kind queueKind
			}{delayName(queue, d), delayQueue})
		}
		for _, q := range kinds {
			p, err := api.policy(ctx, q.name)
			if err != nil {
				return all, err
			}
			all = append(all, p.troubles(q.name, q.kind)...)
		}
	}
	return all, nil
}

type queueKind int

const (
	mainQueue queueKind = iota
	deadQueue
	lettersQueue
	heldQueue
	delayQueue
)

// deadLetters reports that what leaves the queue goes to another one.
func (k queueKind) deadLetters() bool { return k == mainQueue || k == lettersQueue || k == delayQueue }

// queuePolicy is what the management API says of one queue.
type queuePolicy struct {
	Policy         string     `json:"policy"`
	OperatorPolicy string     `json:"operator_policy"`
	Definition     definition `json:"effective_policy_definition"`
}

// definition is an object, or, when it is empty, on some versions a list.
type definition map[string]any

// UnmarshalJSON implements json.Unmarshaler.
func (d *definition) UnmarshalJSON(b []byte) error {
	if text := strings.TrimSpace(string(b)); text == "null" || strings.HasPrefix(text, "[") {
		return nil
	}
	return json.Unmarshal(b, (*map[string]any)(d))
}

func (p queuePolicy) name() string {
	switch {
	case p.OperatorPolicy == "":
		return p.Policy
	case p.Policy == "":
		return p.OperatorPolicy
	}
	return p.Policy + ", " + p.OperatorPolicy
}

// troubles judges a policy. An argument of the queue is not in it: of two
// limits the broker takes the lesser, and of two words for overflow the
// policy's.
func (p queuePolicy) troubles(queue string, kind queueKind) []PolicyTrouble {
	var all []PolicyTrouble
	tell := func(key string, loses bool, text string) {
		all = append(all, PolicyTrouble{Queue: queue, Policy: p.name(), Key: key, Loses: loses, Text: text})
	}
	has := func(key string) bool { _, there := p.Definition[key]; return there }
	if has("expires") {
		tell("expires", true, "the broker deletes the queue, with what is in it, when it was not used for that long; take it from the policy")
	}
	if has("message-ttl") {
		switch kind {
		case mainQueue:
			tell("message-ttl", false, "what waits for longer becomes a dead letter, expired; take it from the policy")
		case delayQueue:
			tell("message-ttl", false, "what waits for its next try comes back too early; take it from the policy")
		case lettersQueue:
			tell("message-ttl", false, "letters that wait for the database go in a circle; take it from the policy")
		default:
			tell("message-ttl", true, "the broker drops what waits for longer; take it from the policy")
		}
	}
	overflow, _ := p.Definition["overflow"].(string)
	drops := overflow != "" && overflow != "reject-publish" || overflow == "" && !kind.deadLetters()
	for _, key := range []string{"max-length", "max-length-bytes"} {
		if has(key) && drops {
			tell(key, true, "the broker drops the oldest messages beyond it; take it from the policy, or set overflow to reject-publish")
		}
	}
	if overflow != "" && overflow != "reject-publish" && kind.deadLetters() {
		tell("overflow", true, "with it the broker dead-letters at most once: what it moves can be lost; set it to reject-publish")
	}
	if has("delivery-limit") && kind != delayQueue && kind != heldQueue {
		tell("delivery-limit", kind == deadQueue, "the broker counts the innocent that were in flight when a connection broke; what exceeds it costs moving it, and in the dead queue it can be lost; take it from the policy")
	}
	return all
}

// management asks one broker's management API about one virtual host.
type management struct {
	client         *http.Client
	queues         string // the address of the virtual host's queues
	user, password string
}

func newManagement(cfg Config) (*management, error) {
	u, err := url.Parse(cfg.Management)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return nil, errors.New("the management API's URL is not of the form http://user:password@host:15672")
	}
	broker, err := amqp.ParseURI(cfg.URLs[0])
	if err != nil {
		return nil, errors.New("a URL is not of the form amqp://user:password@host:port/vhost")
	}
	m := &management{user: broker.Username, password: broker.Password}
	if u.User != nil {
		m.user = u.User.Username()
		m.password, _ = u.User.Password()
	}
	u.User = nil
	m.queues = strings.TrimSuffix(u.String(), "/") + "/api/queues/" + url.PathEscape(broker.Vhost) + "/"
	secure, err := cfg.tls()
	if err != nil {
		return nil, err
	}
	secure.ServerName = "" // that is the broker's
	m.client = &http.Client{Transport: &http.Transport{TLSClientConfig: secure, Proxy: http.ProxyFromEnvironment}}
	return m, nil
}

func (m *management) policy(ctx context.Context, queue string) (p queuePolicy, err error) {
	// All is asked for: with disable_stats 3.10 and 4.0 leave the policy out.
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, m.queues+url.PathEscape(queue), nil)
	if err != nil {
		return p, fmt.Errorf("asking for the policy of queue %s: %w", queue, err)
	}
	request.SetBasicAuth(m.user, m.password)
	response, err := m.client.Do(request)
	if err != nil {
		return p, fmt.Errorf("asking for the policy of queue %s: %w", queue, err)
	}
	body, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer))
	err = errors.Join(err, response.Body.Close())
	switch {
	case err != nil:
		return p, fmt.Errorf("asking for the policy of queue %s: %w", queue, err)
	case response.StatusCode == http.StatusNotFound:
		return p, nil
	case response.StatusCode == http.StatusUnauthorized, response.StatusCode == http.StatusForbidden:
		return p, fmt.Errorf("asking for the policy of queue %s: the management API refuses the user, who needs the tag management: status %d", queue, response.StatusCode)
	case response.StatusCode != http.StatusOK:
		return p, fmt.Errorf("asking for the policy of queue %s: status %d", queue, response.StatusCode)
	}
	if err := json.Unmarshal(body, &p); err != nil {
		return p, fmt.Errorf("reading the policy of queue %s: %w", queue, err)
	}
	return p, nil
}
