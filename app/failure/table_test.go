package failure_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"database/sql"
	"database/sql/driver"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
	"github.com/stretchr/testify/require"
	sqlite3 "modernc.org/sqlite/lib"

	"github.com/answerfeed/answerfeed/app/failure"
)

var update = flag.Bool("update", false, "write docs/failures.md anew")

const (
	document = "../../docs/failures.md"
	begin    = "<!-- The tables are written by `go test ./app/failure -update`. -->\n"
	end      = "<!-- End of the tables. -->\n"
)

// state is an error with a SQLSTATE, as drivers of PostgreSQL have it.
type state string

func (s state) Error() string    { return "ERROR (SQLSTATE " + string(s) + ")" }
func (s state) SQLState() string { return string(s) }

// unsent is pgx's word that nothing was sent.
type unsent struct{ error }

func (unsent) SafeToRetry() bool { return true }

// lite is SQLite's result codes of one row, all judged alike.
type lite []int

func (lite) Error() string { return "SQLite" }

type row struct {
	what string
	err  error
}

// verdict is that on an error as handlers return it, wrapped.
func (r row) verdict(t *testing.T) *failure.Verdict {
	t.Helper()
	codes, ok := r.err.(lite) //nolint:errorlint // it is the test's own, and not wrapped
	if !ok {
		return failure.Classify(fmt.Errorf("doing something: %w", r.err))
	}
	v := &failure.Verdict{}
	v.Kind, v.Reason = failure.SQLiteCode(codes[0])
	for _, code := range codes {
		kind, reason := failure.SQLiteCode(code)
		require.Equal(t, v.Kind, kind, code)
		require.Equal(t, v.Reason, reason, code)
	}
	return v
}

func status(code int, retryAfter string) error {
	return failure.FromHTTP(&http.Response{StatusCode: code, Header: http.Header{"Retry-After": {retryAfter}}})
}

// tables are every case that is told apart, for the documents.
func tables() []struct {
	title string
	rows  []row
} {
	boom := errors.New("boom")
	broker := func(code int) error { return &amqp.Error{Code: code} }
	request := func(err error) error { return &url.Error{Op: "Post", URL: "https://example.org", Err: err} }
	return []struct {
		title string
		rows  []row
	}{
		{"Handlers", []row{
			{"`failure.Permanent(reason, err)`", failure.Permanent("reason", boom)},
			{"`failure.Transient(err)`", failure.Transient(boom)},
			{"`failure.TransientAfter(err, 10m)`", failure.TransientAfter(boom, 10*time.Minute)},
			{"a panic", &failure.Panicked{Value: "x"}},
			{"any other error", boom},
			{"the attempt's timeout", fmt.Errorf("waiting: %w", context.DeadlineExceeded)},
			{"`context.Canceled`, by the handler itself", context.Canceled},
		}},
		{"PostgreSQL, by SQLSTATE", []row{
			{"08 connection exception", state("08006")},
			{"22 data exception: too long, out of range, not text", state("22001")},
			{"23 integrity constraint: unique, foreign key, check, not null", state("23505")},
			{"25006 read-only: a standby", state("25006")},
			{"25P03 idle in a transaction for too long", state("25P03")},
			{"25P04 the transaction took too long", state("25P04")},
			{"28 password or user refused", state("28P01")},
			{"40 deadlock, serialization failure", state("40P01")},
			{"42 no such table, no permission, syntax", state("42P01")},
			{"53 disk full, memory, too many connections", state("53300")},
			{"55006 object in use", state("55006")},
			{"55P03 lock not available", state("55P03")},
			{"57014 cancelled: the statement's timeout", state("57014")},
			{"57 shutdown, crash, starting up", state("57P03")},
			{"58 system error: I/O", state("58030")},
			{"XX internal error", state("XX000")},
		}},
		{"SQLite, by result code", []row{
			{"`BUSY`, `LOCKED`, `PROTOCOL`, `SCHEMA`", lite{sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_PROTOCOL, sqlite3.SQLITE_SCHEMA}},
			{"`INTERRUPT`, `NOMEM`, `FULL`, `IOERR`", lite{sqlite3.SQLITE_INTERRUPT, sqlite3.SQLITE_NOMEM, sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR}},
			{"`CANTOPEN`, `READONLY`", lite{sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY}},
			{"`TOOBIG`, `MISMATCH`", lite{sqlite3.SQLITE_TOOBIG, sqlite3.SQLITE_MISMATCH}},
			{"`CONSTRAINT`", lite{sqlite3.SQLITE_CONSTRAINT}},
			{"any other", lite{sqlite3.SQLITE_ERROR, sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_PERM}},
		}},
		{"`database/sql`", []row{
			{"`sql.ErrConnDone`, `driver.ErrBadConn`", sql.ErrConnDone},
			{"nothing was sent (pgx)", unsent{boom}},
			{"`sql.ErrNoRows`", sql.ErrNoRows},
		}},
		{"AMQP, by reply code", []row{
			{"311 content too large", broker(amqp.ContentTooLarge)},
			{"313 no consumers", broker(amqp.NoConsumers)},
			{"320 connection forced", broker(amqp.ConnectionForced)},
			{"403 access refused", broker(amqp.AccessRefused)},
			{"404 not found", broker(amqp.NotFound)},
			{"405 resource locked", broker(amqp.ResourceLocked)},
			{"406 precondition failed", broker(amqp.PreconditionFailed)},
			{"501, 505 broken frame", broker(amqp.FrameError)},
			{"504 channel or connection not open", amqp.ErrClosed},
			{"506 resource error", broker(amqp.ResourceError)},
			{"530 not allowed", broker(amqp.NotAllowed)},
			{"541 internal error", broker(amqp.InternalError)},
		}},
		{"HTTP, by `failure.FromHTTP`", []row{
			{"408 request timeout", status(408, "")},
			{"425 too early", status(425, "")},
			{"429 too many requests, `Retry-After: 120`", status(429, "120")},
			{"500 and above", status(500, "")},
			{"503 unavailable, `Retry-After: 600`", status(503, "600")},
			{"any other from 400 on", status(404, "")},
		}},
		{"Network", []row{
			{"connection refused, reset, aborted, broken pipe", &net.OpError{Op: "dial", Err: syscall.ECONNREFUSED}},
			{"host or network unreachable, down", syscall.EHOSTUNREACH},
			{"connection closed underneath, or cut off in the middle", io.ErrUnexpectedEOF},
			{"a response that ended before it began", request(io.EOF)},
			{"a timeout of any kind", os.ErrDeadlineExceeded},
			{"name server away", &net.DNSError{IsTemporary: true}},
			{"name does not exist", &net.DNSError{IsNotFound: true}},
			{"certificate expired, or not valid yet", request(&tls.CertificateVerificationError{Err: x509.CertificateInvalidError{Reason: x509.Expired}})},
			{"certificate not trusted, or for another name", request(&tls.CertificateVerificationError{Err: x509.UnknownAuthorityError{}})},
			{"TLS: the peer failed, or gave up", &net.OpError{Op: "remote error", Err: tls.AlertError(80)}},
			{"TLS: the peer refuses", &net.OpError{Op: "remote error", Err: tls.AlertError(42)}},
		}},
		{"Operating system", []row{
			{"disk full, quota, I/O error", syscall.ENOSPC},
			{"no memory, no descriptors, no buffers", syscall.EMFILE},
			{"any other", syscall.EACCES},
		}},
	}
}

func TestTable_IsInTheDocuments(t *testing.T) {
	var b strings.Builder
	b.WriteString(begin)
	for _, table := range tables() {
		fmt.Fprintf(&b, "\n### %s\n\n| error | kind | reason | least delay |\n|---|---|---|---|\n", table.title)
		for _, r := range table.rows {
			v := r.verdict(t)
			after := ""
			if v.RetryAfter > 0 {
				after = strings.TrimSuffix(v.RetryAfter.String(), "0s")
			}
			fmt.Fprintf(&b, "| %s | %s | `%s` | %s |\n", r.what, v.Kind, v.Reason, after)
		}
	}
	b.WriteString("\n" + end)
	text, err := os.ReadFile(document)
	require.NoError(t, err)
	before, rest, found := strings.Cut(string(text), begin)
	require.True(t, found)
	_, after, found := strings.Cut(rest, end)
	require.True(t, found)
	want := before + b.String() + after
	if *update {
		require.NoError(t, os.WriteFile(document, []byte(want), 0o644)) //nolint:gosec // a document is for everybody
		return
	}
	require.Equal(t, want, string(text), "run `go test ./app/failure -update`")
}

func TestClassify_AllOfAClass(t *testing.T) {
	for kind, states := range map[failure.Kind][]string{
		failure.KindTransient: {"08000", "08001", "08003", "08004", "08006", "08P01", "40001", "40003", "40P01", "53000", "53100", "53200", "53300", "53400",
			"55P03", "57014", "57P01", "57P02", "57P03", "57P04", "57P05", "25006", "58000", "58030", "28000"},
		failure.KindPermanent: {"22000", "22001", "22003", "22007", "22021", "22P02"},
		failure.KindUnknown:   {"23502", "23503", "23505", "23514", "42501", "42703", "42P01", "25001", "XX001", "P0001", "0A000"},
	} {
		for _, s := range states {
			require.Equal(t, kind, failure.Classify(state(s)).Kind, s)
		}
	}
	for _, s := range []string{"", "08", "080061"} {
		require.Equal(t, failure.KindUnknown, failure.Classify(state(s)).Kind, "no SQLSTATE: %q", s)
	}
	for _, err := range []error{driver.ErrBadConn, syscall.EPIPE, syscall.ECONNABORTED, net.ErrClosed, &net.DNSError{IsTimeout: true}} {
		require.Equal(t, failure.KindTransient, failure.Classify(err).Kind, "%v", err)
	}
	require.Equal(t, failure.KindUnknown, failure.Classify(io.EOF).Kind, "the end of anything")
}
