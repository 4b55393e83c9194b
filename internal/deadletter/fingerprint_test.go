package deadletter_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/answerfeed/answerfeed/app/database"
	"github.com/answerfeed/answerfeed/internal/deadletter"
)

func TestFingerprint_SameProblem(t *testing.T) {
	same := map[string][2]string{
		"the same text":        {"boom", "boom"},
		"quoted text":          {`no user "ann"`, `no user "bob"`},
		"text with quotes":     {`no user "a\"b"`, `no user "c"`},
		"single quotes":        {`no user 'ann' here`, `no user 'bob' here`},
		"back quotes":          {"no column `a`", "no column `b`"},
		"numbers":              {"took 12 of 100", "took 3 of 70"},
		"a decimal":            {"took 1.5 seconds", "took 22.75 seconds"},
		"a number at a word":   {"question q17 is closed", "question q4 is closed"},
		"durations":            {"gave up after 250ms", "gave up after 13ms"},
		"hexadecimal":          {"at 0xc000123abc", "at 0xdeadbeef12"},
		"UUIDs":                {"row 0b5f8f0e-6c0b-4b5e-9d63-0a1b2c3d4e5f", "row f3a9c1d2-1111-2222-aaaa-bbbbccccdddd"},
		"a hash":               {"key 9f86d081884c7d65 is taken", "key a94a8fe5ccb19ba6 is taken"},
		"addresses":            {"dial tcp 10.0.0.1:5432: refused", "dial tcp 10.20.3.44:5433: refused"},
		"times":                {"not before 2026-01-02T03:04:05Z", "not before 2026-11-22T13:14:15Z"},
		"times to the micro":   {"at 2026-01-02 03:04:05.123456 UTC", "at 2026-11-22 13:14:15.5 UTC"},
		"lines behind the one": {"panic: boom\ngoroutine 7", "panic: boom\ngoroutine 99 and another stack"},
	}
	s := newStore(t, database.SQLite)
	for name, errs := range same {
		t.Run(name, func(t *testing.T) { require.Equal(t, fingerprint(t, s, errs[0]), fingerprint(t, s, errs[1])) })
	}
}

func TestFingerprint_OtherProblem(t *testing.T) {
	other := map[string][2]string{
		"another text":     {"boom", "bang"},
		"another field":    {"invalid event: title: missing", "invalid event: grade: missing"},
		"words in hex":     {"decade", "facade"},
		"empty":            {"", "boom"},
		"between elisions": {"can't read the head, won't go on", "can't write the tail, won't go on"},
	}
	s := newStore(t, database.SQLite)
	for name, errs := range other {
		t.Run(name, func(t *testing.T) { require.NotEqual(t, fingerprint(t, s, errs[0]), fingerprint(t, s, errs[1])) })
	}
	one, two, three := letter(), letter(func(l *deadletter.Letter) { l.Handler = "leaderboard" }), letter(func(l *deadletter.Letter) { l.Reason = "panic" })
	for _, l := range []*deadletter.Letter{one, two, three} {
		require.NoError(t, s.Save(t.Context(), l))
	}
	require.NotEqual(t, one.Fingerprint, two.Fingerprint, "another handler")
	require.NotEqual(t, one.Fingerprint, three.Fingerprint, "another reason")
}

func fingerprint(t *testing.T, s *deadletter.Store, text string) string {
	t.Helper()
	l := letter(func(l *deadletter.Letter) { l.Error = text })
	require.NoError(t, s.Save(t.Context(), l))
	return l.Fingerprint
}
