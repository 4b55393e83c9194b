package alert

import (
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"
)

// The forms of a request's body.
const (
	JSON  = "json"  // {"text":…,"new":[…],"spikes":[…]}
	Slack = "slack" // {"text":…}, which Slack and Mattermost take
)

// Config says whom to tell, and of what.
type Config struct {
	// URL is where alerts are posted: http or https. "" = nowhere.
	URL string
	// Form is JSON or Slack. Defaults to JSON.
	Form string
	// Every is how often is looked for news. Defaults to 30s, at least 1s.
	Every time.Duration
	// Spike is how many letters of one problem within SpikeWithin are told as
	// a spike; 0 = none is. Defaults to 100 within 10m. The same problem's
	// spike is told again after an hour.
	Spike       int
	SpikeWithin time.Duration
	// AllowHosts are the hosts that URL may name. Empty = any.
	AllowHosts []string
	// AllowPrivate lets URL lead to this machine and to private networks. By
	// default it must not: a URL that anybody can set would reach inside.
	AllowPrivate bool
}

// DefaultConfig tells nobody.
func DefaultConfig() Config {
	return Config{Form: JSON, Every: 30 * time.Second, Spike: 100, SpikeWithin: 10 * time.Minute}
}

// private reports a host that is known not to be [public] before anybody looks
// where its name leads.
func private(host string) bool {
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	if host == "localhost" || strings.HasSuffix(host, ".localhost") {
		return true
	}
	a, err := netip.ParseAddr(host)
	return err == nil && !public(a)
}

// Validate reports the first thing that cannot be.
func (c Config) Validate() error {
	if c.URL == "" {
		return nil
	}
	u, err := url.Parse(c.URL)
	switch {
	case err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https"):
		return errors.New("url: it must be http://… or https://…") // it may hold a secret, and is not repeated
	case !c.AllowPrivate && private(u.Hostname()):
		return errors.New("url: it leads to this machine or into a private network, which allow_private does not let it")
	case len(c.AllowHosts) > 0 && !slices.Contains(c.AllowHosts, u.Hostname()):
		return errors.New("url: its host is not among allow_hosts")
	case c.Form != JSON && c.Form != Slack:
		return fmt.Errorf("form: %q is not known; use %s or %s", c.Form, JSON, Slack)
	case c.Every < time.Second:
		return fmt.Errorf("every: %s; it must be at least 1s", c.Every)
	case c.Spike < 0:
		return errors.New("spike: it must not be below 0")
	case c.Spike > 0 && c.SpikeWithin <= 0:
		return errors.New("spike_within: it must be more than 0")
	}
	return nil
}
