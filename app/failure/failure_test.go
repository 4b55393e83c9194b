package failure_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net"
	"net/http"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	_ "modernc.org/sqlite"

	"github.com/answerfeed/answerfeed/app/failure"
)

func TestClassify(t *testing.T) {
	boom := errors.New("boom")
	tests := map[string]struct {
		err    error
		kind   failure.Kind
		reason failure.Reason
		after  time.Duration
	}{
		"no verdict":           {boom, failure.KindUnknown, failure.Unknown, 0},
		"permanent":            {failure.Permanent(failure.Invalid, boom), failure.KindPermanent, failure.Invalid, 0},
		"permanent, wrapped":   {fmt.Errorf("doing: %w", failure.Permanent("odd", boom)), failure.KindPermanent, "odd", 0},
		"permanent over a net": {failure.Permanent(failure.Rejected, syscall.ECONNREFUSED), failure.KindPermanent, failure.Rejected, 0},
		"transient":            {failure.Transient(boom), failure.KindTransient, failure.Temporary, 0},
		"transient with delay": {failure.TransientAfter(boom, time.Minute), failure.KindTransient, failure.Temporary, time.Minute},
		"panic":                {&failure.Panicked{Value: "x"}, failure.KindUnknown, failure.Panic, 0},
		"deadline":             {fmt.Errorf("x: %w", context.DeadlineExceeded), failure.KindTransient, failure.Timeout, 0},
		"connection refused":   {&net.OpError{Op: "dial", Err: syscall.ECONNREFUSED}, failure.KindTransient, failure.Network, 0},
		"name not found":       {&net.DNSError{IsNotFound: true}, failure.KindUnknown, failure.Unknown, 0},
		"name server away":     {&net.DNSError{IsTemporary: true}, failure.KindTransient, failure.Network, 0},
		"connection done":      {sql.ErrConnDone, failure.KindTransient, failure.Database, 0},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			v := failure.Classify(test.err)
			require.Equal(t, test.kind, v.Kind)
			require.Equal(t, test.reason, v.Reason)
			require.Equal(t, test.after, v.RetryAfter)
			require.ErrorIs(t, v, test.err)
		})
	}
	require.Nil(t, failure.Classify(nil))
	require.NoError(t, failure.Permanent(failure.Invalid, nil))
	require.NoError(t, failure.Transient(nil))
	require.NoError(t, failure.TransientAfter(nil, time.Second))
}

func TestClassify_SQLite(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.db")
	db, err := sql.Open("sqlite", path)
	require.NoError(t, err)
	defer db.Close()
	_, err = db.ExecContext(t.Context(), "CREATE TABLE t (n INTEGER NOT NULL)")
	require.NoError(t, err)

	_, err = db.ExecContext(t.Context(), "INSERT INTO t VALUES (NULL)")
	require.Equal(t, failure.KindUnknown, failure.Classify(err).Kind, "a constraint does not heal by itself")

	other, err := sql.Open("sqlite", path)
	require.NoError(t, err)
	defer other.Close()
	held, err := other.Conn(t.Context())
	require.NoError(t, err)
	defer held.Close()
	_, err = held.ExecContext(t.Context(), "BEGIN EXCLUSIVE")
	require.NoError(t, err)
	_, err = db.ExecContext(t.Context(), "INSERT INTO t VALUES (1)")
	v := failure.Classify(err)
	require.Equal(t, failure.KindTransient, v.Kind, "a lock does")
	require.Equal(t, failure.Database, v.Reason)
}

func TestFromHTTP(t *testing.T) {
	tests := map[string]struct {
		status int
		header string
		kind   failure.Kind
		atMost time.Duration
		atMin  time.Duration
	}{
		"timeout":            {408, "", failure.KindTransient, 0, 0},
		"too early":          {425, "", failure.KindTransient, 0, 0},
		"too many, seconds":  {429, "120", failure.KindTransient, 2 * time.Minute, 2 * time.Minute},
		"away, date":         {503, time.Now().Add(time.Hour).UTC().Format(http.TimeFormat), failure.KindTransient, time.Hour, 59 * time.Minute},
		"nonsense":           {500, "soon", failure.KindTransient, 0, 0},
		"negative":           {500, "-5", failure.KindTransient, 0, 0},
		"far too long":       {500, "999999999", failure.KindTransient, 24 * time.Hour, 24 * time.Hour},
		"beyond all numbers": {500, "99999999999999999999", failure.KindTransient, 0, 0},
		"longer than time":   {500, "9223372036854775807", failure.KindTransient, 24 * time.Hour, 24 * time.Hour},
		"a date long ago":    {503, "Mon, 02 Jan 2006 15:04:05 GMT", failure.KindTransient, 0, 0},
		"a date far ahead":   {503, "Fri, 02 Jan 2206 15:04:05 GMT", failure.KindTransient, 24 * time.Hour, 24 * time.Hour},
		"old form of a date": {503, "Monday, 02-Jan-06 15:04:05 GMT", failure.KindTransient, 0, 0},
		"not found":          {404, "", failure.KindPermanent, 0, 0},
		"forbidden, waiting": {403, "10", failure.KindPermanent, 0, 0},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			r := &http.Response{StatusCode: test.status, Header: http.Header{"Retry-After": {test.header}}}
			v := failure.Classify(failure.FromHTTP(r))
			require.Equal(t, test.kind, v.Kind)
			require.LessOrEqual(t, v.RetryAfter, test.atMost)
			require.GreaterOrEqual(t, v.RetryAfter, test.atMin)
		})
	}
	require.NoError(t, failure.FromHTTP(&http.Response{StatusCode: 302}))
}

// A date is told by the clock of the service, which may be wrong.
func TestFromHTTP_DateByTheServicesClock(t *testing.T) {
	r := &http.Response{StatusCode: 503, Header: http.Header{
		"Date": {"Mon, 02 Jan 2006 15:04:05 GMT"}, "Retry-After": {"Mon, 02 Jan 2006 15:05:05 GMT"},
	}}
	require.Equal(t, time.Minute, failure.Classify(failure.FromHTTP(r)).RetryAfter)
}
