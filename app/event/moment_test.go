package event

import (
	"regexp"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestParseMoment(t *testing.T) {
	at := func(hour, minute, second, nano int) time.Time {
		return time.Date(2026, time.March, 1, hour, minute, second, nano, time.UTC)
	}
	for text, want := range map[string]time.Time{
		"2026-03-01T10:20:30Z":                     at(10, 20, 30, 0),
		"2026-03-01t10:20:30z":                     at(10, 20, 30, 0),
		"2026-03-01T10:20:30.5+00:00":              at(10, 20, 30, 500_000_000),
		"2026-03-01T10:20:30.1234567Z":             at(10, 20, 30, 123_456_000),
		"2026-03-01T10:20:30.999999999Z":           at(10, 20, 30, 999_999_000),
		"2026-03-01T10:20:30.99999999999999999Z":   at(10, 20, 30, 999_999_000),
		"2026-03-02T10:19:30+23:59":                at(10, 20, 30, 0),
		"2026-02-28T10:21:30-23:59":                at(10, 20, 30, 0),
		"2026-03-01T10:20:30-00:00":                at(10, 20, 30, 0),
		"2025-12-31T23:59:60Z":                     time.Date(2026, time.January, 1, 0, 0, 0, 0, time.UTC),
		"2025-12-31T18:59:60.25-05:00":             time.Date(2026, time.January, 1, 0, 0, 0, 250_000_000, time.UTC),
		"2024-02-29T00:00:00Z":                     time.Date(2024, time.February, 29, 0, 0, 0, 0, time.UTC),
		"0000-01-01T00:00:00Z":                     time.Date(0, time.January, 1, 0, 0, 0, 0, time.UTC),
		"9999-12-31T23:59:59.999999999999999999Z":  time.Date(9999, time.December, 31, 23, 59, 59, 999_999_000, time.UTC),
		"2026-03-01T10:20:30.000000000000000001Z":  at(10, 20, 30, 0),
		"2026-03-01T10:20:30.000001-00:00":         at(10, 20, 30, 1000),
		"2026-03-01T00:00:00.00000000000000+00:00": at(0, 0, 0, 0),
	} {
		t.Run(text, func(t *testing.T) {
			got, ok := parseMoment(text)
			require.True(t, ok)
			require.Equal(t, want, got)
		})
	}
	for _, text := range []string{
		"", "now", "2026-03-01", "2026-03-01T10:20:30", "2026-03-01T10:20Z", "2026-03-01 10:20:30Z", "20260301T102030Z",
		"2026-03-01T1:20:30Z", "2026-03-01T1:20:30.1Z", "2026-03-01T10:20:30,5Z", "2026-03-01T10:20:30.Z", "2026-03-01T10:20:30+0100",
		"2026-03-01T10:20:30+01", "2026-03-01T10:20:30+24:00", "2026-03-01T10:20:30+01:60", "2026-03-01T10:20:30 Z", "2026-03-01T24:00:00Z",
		"2026-02-29T10:20:30Z", "2026-13-01T10:20:30Z", "2026-03-01T10:60:30Z", "2026-03-01T10:20:60Z", "2026-03-01T10:20:61Z",
		"+2026-03-01T10:20:30Z", "-2026-03-01T10:20:30Z", "12026-03-01T10:20:30Z", "2026-03-01T10:20:30Z ", " 2026-03-01T10:20:30Z",
		"2026-03-01T10:20:30ZZ", "2026-03-01T10:20:30+01:00Z", "2026-03-01T10:20:30−01:00", "２026-03-01T10:20:30Z",
	} {
		t.Run("refused "+text, func(t *testing.T) {
			_, ok := parseMoment(text)
			require.False(t, ok)
		})
	}
}

// grammar is the date-time of RFC 3339 section 5.6, but for the days of each month.
var grammar = regexp.MustCompile(`^\d{4}-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])[Tt]([01]\d|2[0-3]):[0-5]\d:([0-5]\d|60)(\.\d+)?([Zz]|[+-]([01]\d|2[0-3]):[0-5]\d)$`)

func FuzzParseMoment(f *testing.F) {
	for _, seed := range []string{"2026-03-01T10:20:30Z", "2016-12-31t23:59:60.5+00:00", "2026-03-01T1:20:30.1Z", "2026-03-01T10:20:30,5Z", "2026-03-01T10:20:30+24:00", "9999-12-31T23:59:59Z", ""} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		got, ok := parseMoment(text)
		if !ok {
			return
		}
		require.Regexp(t, grammar, text)
		again, ok := parseMoment(got.Format(time.RFC3339Nano))
		if got.Year() >= 0 && got.Year() <= 9999 { // a zone can carry a year over the edge
			require.True(t, ok)
			require.Equal(t, got, again)
		}
	})
}
