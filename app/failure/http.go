package failure

import (
	"fmt"
	"net/http"
	"strconv"
	"time"
)

// maxRetryAfter bounds what a service may ask for.
const maxRetryAfter = 24 * time.Hour

// FromHTTP judges a service's response: nil below 400; transient for 408,
// 425, 429 and 5xx, with Retry-After (seconds or a date) as the least delay,
// at most 24 h; permanent for other 4xx. It does not touch the body.
func FromHTTP(r *http.Response) error {
	if r.StatusCode < 400 {
		return nil
	}
	err := fmt.Errorf("the service answered %d %s", r.StatusCode, http.StatusText(r.StatusCode))
	switch {
	case r.StatusCode == http.StatusRequestTimeout, r.StatusCode == http.StatusTooEarly,
		r.StatusCode == http.StatusTooManyRequests, r.StatusCode >= 500:
		return &Verdict{Kind: KindTransient, Reason: Upstream, RetryAfter: retryAfter(r.Header.Get("Retry-After")), Err: err}
	}
	return Permanent(Rejected, err)
}

// retryAfter reads both forms of RFC 9110, section 10.2.3.
func retryAfter(value string) time.Duration {
	var d time.Duration
	if seconds, err := strconv.ParseInt(value, 10, 32); err == nil {
		d = time.Duration(seconds) * time.Second
	} else if at, err := http.ParseTime(value); err == nil {
		d = time.Until(at)
	}
	return min(max(d, 0), maxRetryAfter)
}
