package leaderboard

import (
	"cmp"
	"maps"
	"slices"

	"github.com/answerfeed/answerfeed/app/event"
)

// life is where an answer stands. The larger ends the smaller: removed is for
// ever, whatever was or will be added.
type life uint8

const (
	unknown life = iota
	live
	removed
)

// answer is the register of one answer. Its zero value is the identity of
// merge. What is removed keeps nothing else.
type answer struct {
	life     life
	version  event.Version
	authorID string // of the latest version; "": not told
}

func (a answer) merge(o answer) answer {
	switch {
	case a.life > o.life:
		return a
	case a.life < o.life, a.version.Before(o.version):
		return o
	}
	return a
}

// counts tells whether the answer counts for its author.
func (a answer) counts() bool { return a.life == live && a.authorID != "" }

// key is an answer's identity.
type key struct{ questionID, answerID string }

// change is what one event says.
type change struct {
	key    key
	answer answer
}

func answerAdded(e event.AnswerAdded) change {
	return change{key{e.QuestionID, e.AnswerID}, answer{
		life: live, version: e.Version(), authorID: e.AuthorID,
	}}
}

func answerRemoved(e event.AnswerRemoved) change {
	return change{key{e.QuestionID, e.AnswerID}, answer{life: removed}}
}

// edit is what a batch does to an answer.
type edit struct {
	key           key
	said          answer // by the batch
	before, after answer
	held          answer // by the table, when after is written
}

// collapse merges changes of the same answer. The edits are in the order of
// their keys: the order in which rows are locked.
func collapse(changes []change) []*edit {
	edits := make(map[key]*edit, len(changes))
	for _, c := range changes {
		e := edits[c.key]
		if e == nil {
			e = &edit{key: c.key}
			edits[c.key] = e
		}
		e.said = e.said.merge(c.answer)
	}
	return slices.SortedFunc(maps.Values(edits), func(a, b *edit) int {
		return cmp.Or(cmp.Compare(a.key.questionID, b.key.questionID), cmp.Compare(a.key.answerID, b.key.answerID))
	})
}

// differences is what the edits do to the numbers of the authors.
func differences(edits []*edit) map[string]int {
	authors := make(map[string]int)
	for _, e := range edits {
		if e.before.counts() {
			authors[e.before.authorID]--
		}
		if e.after.counts() {
			authors[e.after.authorID]++
		}
	}
	return authors
}
