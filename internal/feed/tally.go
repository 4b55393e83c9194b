package feed

// tally is what a question's row tells of its live answers.
type tally struct {
	count   int
	firstAt int64 // of the first answer: the smallest answeredAt, then the smallest id
	firstID string
	lastAt  int64 // the largest answeredAt

	// stale says that the first or the last answer went away, so that who
	// comes after it must be looked up among all answers. count is exact.
	stale bool
}

func (t tally) answered() bool { return t.count > 0 }

// replace takes the step of one answer from before to after.
func (t *tally) replace(id string, before, after answer) {
	if before.life == after.life && before.answeredAt == after.answeredAt {
		return
	}
	if before.life == live {
		t.drop(id, before.answeredAt)
	}
	if after.life == live {
		t.add(id, after.answeredAt)
	}
}

func (t *tally) add(id string, at int64) {
	if t.count == 0 || at < t.firstAt || at == t.firstAt && id < t.firstID {
		t.firstAt, t.firstID = at, id
	}
	if t.count == 0 || at > t.lastAt {
		t.lastAt = at
	}
	t.count++
}

func (t *tally) drop(id string, at int64) {
	t.count--
	if t.count == 0 {
		*t = tally{}
		return
	}
	t.stale = t.stale || id == t.firstID || at == t.lastAt
}

// counts is what subjects count; here also a difference of two of them.
type counts struct{ questions, unanswered int }

// move books a question's step from before to after in the differences by
// subject. A question of which nothing is known yet counts nowhere.
func move(subjects map[string]counts, before, after row) {
	for _, side := range []struct {
		row
		sign int
	}{{before, -1}, {after, +1}} {
		if !side.known {
			continue
		}
		c := subjects[side.subject]
		c.questions += side.sign
		if !side.answered() {
			c.unanswered += side.sign
		}
		subjects[side.subject] = c
	}
}
