package importer

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/answerfeed/answerfeed/app/event"
)

var update = flag.Bool("update", false, "rewrite the golden file")

var gradeTags = map[string]string{"undergraduate": "college", "primary-school": "primary school", "reading": "high school"}

// importedAt is when the tests import.
func importedAt() time.Time { return time.Date(2026, time.March, 1, 12, 0, 0, 0, time.UTC) }

func readPosts(t testing.TB) []byte {
	t.Helper()
	posts, err := os.ReadFile("testdata/posts.xml")
	require.NoError(t, err)
	return posts
}

// collect imports everything in r.
func collect(r io.Reader, o Options) ([]Event, Counts, error) {
	var events []Event
	counts, err := StackExchange(r, o, func(e Event) error {
		events = append(events, e)
		return nil
	})
	return events, counts, err
}

func TestStackExchange(t *testing.T) {
	var got bytes.Buffer
	posts := readPosts(t)
	options := Options{GradeTags: gradeTags, CopiedAt: importedAt(), Report: func(offset int64, err error) {
		require.Equal(t, "<row ", string(posts[offset:offset+5]), "a bad row is reported by its first byte")
		fmt.Fprintf(&got, "bad: %v\n", err)
	}}
	counts, err := StackExchange(bytes.NewReader(posts), options, func(e Event) error {
		require.NoError(t, event.Validate(e.Topic, e.Payload))
		require.Equal(t, e.ID, event.Identity(e.Payload, ""))
		fmt.Fprintf(&got, "%s %s\n", e.Topic, e.Payload)
		return nil
	})
	require.NoError(t, err)
	require.Equal(t, Counts{Questions: 5, Answers: 4, Skipped: 2, Bad: 7}, counts)
	if *update {
		require.NoError(t, os.WriteFile("testdata/posts.golden", got.Bytes(), 0o644))
	}
	want, err := os.ReadFile("testdata/posts.golden")
	require.NoError(t, err)
	require.Equal(t, string(want), got.String())
}

func TestTheSameFileGivesTheSameEvents(t *testing.T) {
	posts := readPosts(t)
	once, _, err := collect(bytes.NewReader(posts), Options{CopiedAt: importedAt()})
	require.NoError(t, err)
	again, _, err := collect(iotest.OneByteReader(bytes.NewReader(posts)), Options{CopiedAt: importedAt()})
	require.NoError(t, err)
	require.Equal(t, once, again)
	ids := map[string]bool{}
	for _, e := range once {
		ids[e.ID] = true
	}
	require.Len(t, ids, len(once))
}

func TestSubjectAndGrade(t *testing.T) {
	const file = `<posts><row Id="1" PostTypeId="1" CreationDate="2014-03-13T20:32:04" Title="t" Tags="%s"/></posts>`
	for name, c := range map[string]struct {
		tags           string
		options        Options
		subject, grade string
	}{
		"first tag":                      {"&lt;b&gt;&lt;a&gt;", Options{}, "b", "unspecified"},
		"first tag between bars":         {"|b|a|", Options{}, "b", "unspecified"},
		"no tags":                        {"", Options{}, "?", "unspecified"},
		"subject given":                  {"|b|a|", Options{Subject: "maths"}, "maths", "unspecified"},
		"grade given":                    {"|b|a|", Options{Grade: "college"}, "b", "college"},
		"grade by tag":                   {"|b|a|", Options{Grade: "college", GradeTags: map[string]string{"a": "primary"}}, "b", "primary"},
		"grade by the first that counts": {"|x|b|a|", Options{GradeTags: map[string]string{"a": "A", "b": "B"}}, "x", "B"},
	} {
		t.Run(name, func(t *testing.T) {
			events, _, err := collect(strings.NewReader(fmt.Sprintf(file, c.tags)), c.options)
			require.NoError(t, err)
			require.Len(t, events, 1)
			question, err := event.DecodeQuestionAdded(events[0].Payload)
			require.NoError(t, err)
			require.Equal(t, c.subject, question.Subject)
			require.Equal(t, c.grade, question.Grade)
		})
	}
}

func TestOptionsThatSpoilEveryRowAreRefusedAtOnce(t *testing.T) {
	long := strings.Repeat("x", 65)
	for want, options := range map[string]Options{
		"check import options: invalid event: subject: longer than 64 characters":     {Subject: long},
		"check import options: invalid event: grade: longer than 64 characters":       {Grade: long},
		`check the grade of tag "a": invalid event: grade: empty`:                     {GradeTags: map[string]string{"a": "", "b": long}},
		`check the grade of tag "b": invalid event: grade: longer than 64 characters`: {GradeTags: map[string]string{"a": "x", "b": long}},
	} {
		_, counts, err := collect(iotest.ErrReader(errors.New("the file was read")), options)
		require.EqualError(t, err, want)
		require.Zero(t, counts)
	}
}

func TestAnErrorOfTheReceiverStopsTheImport(t *testing.T) {
	full := errors.New("disk full")
	posts := readPosts(t)
	taken := 0
	counts, err := StackExchange(bytes.NewReader(posts), Options{}, func(Event) error {
		if taken == 3 {
			return full
		}
		taken++
		return nil
	})
	require.ErrorIs(t, err, full)
	require.EqualError(t, err, fmt.Sprintf("import the post at byte %d: disk full", bytes.Index(posts, []byte(`<row Id="4"`))))
	require.Equal(t, Counts{Questions: 1, Answers: 2}, counts, "the event that was refused does not count")
}
