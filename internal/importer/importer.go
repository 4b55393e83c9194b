// Package importer turns the files of other question-and-answer sites into events, for the import verb and for tests that need
// real-looking input.
//
// The one thing to know: it streams. Whatever the size of the file, one row is in memory at a time, and each event is handed on
// before the next row is read. Event ids follow from the file alone, so that importing a file twice is importing it once. Of two versions of
// a post the one edited later counts, whichever is imported first; of two with the same date of editing, the one imported later.
package importer

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/answerfeed/answerfeed/app/event"
)

// Event is one event, ready to be published.
type Event struct {
	Topic   string
	Payload []byte // canonical and valid; the receiver may keep it
	ID      string // the payload's event_id, the same at every import of the same post
}

// Options say what the file itself does not.
type Options struct {
	// Site stands before the ids of posts and authors, as in math.stackexchange.com/q1, so that two sites share none. "" leaves
	// the ids alone: q1.
	Site string
	// CopiedAt is when this import began. Of versions of a post with the same date of editing, the latest copy counts. Zero = now.
	CopiedAt time.Time

	Subject   string            // the subject of every question; "" takes each question's first tag, "?" where it has none
	Grade     string            // the grade of questions that GradeTags does not decide; "" is "unspecified"
	GradeTags map[string]string // from tag to grade; the first tag of a question that is in it decides

	// Report, unless nil, is called for each row that Counts.Bad counts: with the row's first byte in the file and what is wrong.
	Report func(offset int64, err error)
}

// Counts tell what became of the rows read so far.
type Counts struct {
	Questions int // events handed on
	Answers   int // events handed on
	Skipped   int // posts of other kinds: wikis, tag descriptions, nominations
	Bad       int // rows that cannot be an event: no id, an impossible date, no title

	Replaced     int // characters that XML forbids, in place of which events have U+FFFD
	ReplacedLine int // the line of the first of them, from 1
}

// check finds out now what would otherwise make every row bad, and fills in the defaults.
func (o *Options) check() error {
	if o.Grade == "" {
		o.Grade = "unspecified"
	}
	if err := CheckSite(o.Site); err != nil {
		return fmt.Errorf("check the site: %w", err)
	}
	if o.CopiedAt.IsZero() {
		o.CopiedAt = time.Now()
	}
	o.CopiedAt = o.CopiedAt.UTC().Truncate(time.Microsecond)
	probe := event.QuestionAdded{QuestionID: "q", Title: "t", Subject: o.Subject, Grade: o.Grade, OccurredAt: time.Now()}
	if probe.Subject == "" {
		probe.Subject = noSubject
	}
	if _, err := probe.Encode(); err != nil {
		return fmt.Errorf("check import options: %w", err)
	}
	for _, tag := range slices.Sorted(maps.Keys(o.GradeTags)) {
		probe.Grade = o.GradeTags[tag]
		if _, err := probe.Encode(); err != nil {
			return fmt.Errorf("check the grade of tag %q: %w", tag, err)
		}
	}
	return nil
}
