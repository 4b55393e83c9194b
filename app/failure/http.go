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
// at most 24 h; permanent for other 4xx. It does not touch the body, which is
// the caller's to close. What the request itself failed with, a connection
// that was refused say, is recognised without it.
func FromHTTP(r *http.Response) error {
	if r.StatusCode < 400 {
		return nil
	}
	err := fmt.Errorf("the service answered %d %s", r.StatusCode, http.StatusText(r.StatusCode))
	switch {
	case r.StatusCode == http.StatusRequestTimeout, r.StatusCode == http.StatusTooEarly,
		r.StatusCode == http.StatusTooManyRequests, r.StatusCode >= 500:
		return &Verdict{Kind: KindTransient, Reason: Upstream, RetryAfter: retryAfter(r.Header), Err: err}
	}
	return Permanent(Rejected, err)
}

// retryAfter reads both forms of RFC 9110, section 10.2.3. A date is held
// against the service's own clock, where it tells that.
func retryAfter(header http.Header) time.Duration {
	value := header.Get("Retry-After")
	if seconds, err := strconv.ParseUint(value, 10, 63); err == nil {
		return time.Duration(min(seconds, uint64(maxRetryAfter/time.Second))) * time.Second
	}
	at, err := http.ParseTime(value)
	if err != nil {
		return 0
	}
	now, err := http.ParseTime(header.Get("Date"))
	if err != nil {
		now = time.Now()
	}
	return min(max(at.Sub(now), 0), maxRetryAfter)
}
