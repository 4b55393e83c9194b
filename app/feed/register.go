package feed

import (
	"bytes"

	"github.com/answerfeed/answerfeed/app/event"
)

// version orders what was said of one question or answer. The later one
// counts; at the same microsecond the one with the larger digest, which is
// arbitrary but the same for everybody. Two payloads with one digest are one.
type version struct {
	at     int64 // occurred_at, microseconds since 1970
	digest event.Digest
}

func (v version) before(o version) bool {
	if v.at != o.at {
		return v.at < o.at
	}
	return bytes.Compare(v.digest[:], o.digest[:]) < 0
}

// question is the register of one question. Its zero value is the identity
// of merge: nothing is known of the question but perhaps its answers.
type question struct {
	known   bool
	askedAt int64 // the earliest occurred_at
	// What follows is of the latest version.
	version                                  version
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
	if q.version.before(o.version) {
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
	version           version
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
	if a.version.before(o.version) {
		merged = o
	}
	merged.answeredAt = min(a.answeredAt, o.answeredAt)
	return merged
}
