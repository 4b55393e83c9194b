package config

import (
	"errors"
	"fmt"
	"math"
	"net"
	"net/url"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/dustin/go-humanize"
)

// rule says which values of a key's type are possible, as its struct tags do.
type rule struct {
	oneOf    []string
	min, max reflect.Value // invalid: no bound
	bounds   string        // for the message
	check    func(string) error
	secret   string // "", "dsn" or "all"
}

const (
	secretDSN = "dsn"
	secretAll = "all"
)

// newRule reads the tags of a field with values, or elements, of type t.
func newRule(tag reflect.StructTag, t reflect.Type) (rule, error) {
	r := rule{secret: tag.Get("secret")}
	if r.secret != "" && r.secret != secretDSN && r.secret != secretAll {
		return r, fmt.Errorf("tag secret: %q is neither dsn nor all", r.secret)
	}
	if words := tag.Get("oneof"); words != "" {
		r.oneOf = strings.Split(words, ",")
	}
	if bounds := tag.Get("range"); bounds != "" {
		low, high, found := strings.Cut(bounds, "..")
		if !found {
			return r, fmt.Errorf("tag range: %q is not LEAST..GREATEST", bounds)
		}
		for text, bound := range map[string]*reflect.Value{low: &r.min, high: &r.max} {
			if text == "" {
				continue
			}
			v, err := parseScalar(text, t)
			if err != nil || !v.CanInt() && !v.CanUint() && !v.CanFloat() {
				return r, fmt.Errorf("tag range: %q is no bound for %v", text, t)
			}
			*bound = v
		}
		switch {
		case high == "":
			r.bounds = "at least " + low
		case low == "":
			r.bounds = "at most " + high
		default:
			r.bounds = "from " + low + " to " + high
		}
	}
	if name := tag.Get("check"); name != "" {
		if t.Kind() != reflect.String {
			return r, fmt.Errorf("tag check: %v is not text", t)
		}
		if r.check = namedCheck(name); r.check == nil {
			return r, fmt.Errorf("tag check: %q is not the name of a check", name)
		}
	}
	return r, nil
}

// allows tells what is wrong with a value of the rule's type; the message does not hold the value.
func (r rule) allows(v reflect.Value) error {
	if r.oneOf != nil && !slices.Contains(r.oneOf, fmt.Sprint(v.Interface())) {
		return fmt.Errorf("must be %s", either(r.oneOf))
	}
	if r.min.IsValid() && compare(v, r.min) < 0 || r.max.IsValid() && compare(v, r.max) > 0 {
		return errors.New("must be " + r.bounds)
	}
	if r.check != nil {
		return r.check(v.String())
	}
	return nil
}

// namedCheck is the check of that name, or nil. The errors never quote the text: a DSN is among what they check.
func namedCheck(name string) func(string) error {
	switch name {
	case "prefix":
		return checkPrefix
	case "address":
		return checkAddress
	case "dsn":
		return checkDSN
	case "amqp":
		return checkAMQP
	case "management":
		return checkManagement
	case "webhook":
		return checkWebhook
	case "memory":
		return checkMemory
	}
	return nil
}

var prefix = regexp.MustCompile(`^[a-z0-9_-]{0,32}$`)

func checkPrefix(s string) error {
	if !prefix.MatchString(s) {
		return errors.New(`must be up to 32 of a-z, 0-9, "_" and "-"`)
	}
	return nil
}

func checkAddress(s string) error {
	_, port, err := net.SplitHostPort(s)
	if err != nil {
		return errors.New("must be host:port such as 127.0.0.1:8080")
	}
	if _, err := strconv.ParseUint(port, 10, 16); err != nil {
		return errors.New("must be host:port with a port from 0 to 65535")
	}
	return nil
}

func checkDSN(s string) error {
	if strings.TrimSpace(s) == "" {
		return errors.New("must not be empty")
	}
	if strings.ContainsAny(s, "\x00\n\r") {
		return errors.New("must be one line without NUL")
	}
	if urlStart.MatchString(s) {
		if _, err := url.Parse(s); err != nil { // the error would quote the URL
			return errors.New("is not a valid URL (special characters in its password are written as %40 and the like)")
		}
	}
	return nil
}

func checkAMQP(s string) error {
	if err := checkDSN(s); err != nil {
		return err
	}
	u, err := url.Parse(s)
	if err != nil || u.Scheme != "amqp" && u.Scheme != "amqps" || u.Hostname() == "" {
		return errors.New("must be a URL such as amqp://user:password@host:5672/")
	}
	return nil
}

func checkManagement(s string) error {
	if s == "" {
		return nil
	}
	u, err := url.Parse(s)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" {
		return errors.New("must be a URL such as http://user:password@host:15672")
	}
	return nil
}

func checkWebhook(s string) error {
	if s == "" {
		return nil
	}
	u, err := url.Parse(s)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" {
		return errors.New("must be a URL such as https://hooks.example.org/…")
	}
	return nil
}

// leastMemory is the smallest limit, in bytes: below, there is no room for anything but the program.
const leastMemory = 64 << 20

func checkMemory(s string) error {
	if s == SizeAuto {
		return nil
	}
	n, err := humanize.ParseBytes(s)
	if err != nil || n > math.MaxInt64 {
		return errors.New("must be auto or a size such as 150MiB or 1GiB")
	}
	if n < leastMemory {
		return errors.New("must be at least 64MiB")
	}
	return nil
}

// either joins words for a sentence: "a", "a or b", "a, b or c".
func either(words []string) string {
	last := len(words) - 1
	if last == 0 {
		return words[0]
	}
	return strings.Join(words[:last], ", ") + " or " + words[last]
}
