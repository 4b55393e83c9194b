package feed

import (
	"github.com/answerfeed/answerfeed/app/event"
)

// question is the register of one question. Its zero value is the identity
// of merge: nothing is known of the question but perhaps its answers.
type question struct {
	known   bool
	askedAt int64 // the earliest occurred_at
	// What follows is of the latest version.
	version                                  event.Version
	title, excerpt, subject, grade, authorID string
}

func (q question) merge(o question) question {
	switch {
	case !q.known:
		return o
	case !o.known:
		return q
	}
	merged := q
	if q.version.Before(o.version) {
		merged = o
	}
	merged.askedAt = min(q.askedAt, o.askedAt)
	return merged
}

// life is where an answer stands. The larger ends the smaller: removed is for
// ever, whatever was or will be added.
type life uint8

const (
	unknown life = iota
	live
	removed
)

// answer is the register of one answer to one question. Its zero value is
// the identity of merge. What is removed keeps nothing else, so that what
// moderation took away rests nowhere.
type answer struct {
	life       life
	answeredAt int64 // the earliest occurred_at
	// What follows is of the latest version.
	version           event.Version
	authorID, excerpt string
}

func (a answer) merge(o answer) answer {
	switch {
	case a.life > o.life:
		return a
	case a.life < o.life:
		return o
	}
	merged := a
	if a.version.Before(o.version) {
		merged = o
	}
	merged.answeredAt = min(a.answeredAt, o.answeredAt)
	return merged
}
