package bench

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/answerfeed/answerfeed/app/event"
	"github.com/answerfeed/answerfeed/internal/producer"
)

const (
	// answersEach is how many answers a question gets.
	answersEach = 10
	// idLength is that of a000000042.
	idLength = 10
	// maxExcerpt is what an event may have of it; what is wanted beyond that
	// is a member that consumers pass over.
	maxExcerpt = 1000
	padding    = `,"padding":""`

	poisonStart = `{"answer_id":"`
)

// source makes events, all of one size. It is safe for concurrent use.
type source struct {
	excerpt, padding string
	poison           int // percent
	now              time.Time
}

func newSource(size, poison int) (source, error) {
	s := source{poison: poison, now: time.Now()}
	bare, err := s.payload(0)
	if err != nil {
		return source{}, err
	}
	const member = `,"excerpt":""`
	room := max(size-len(bare)-len(member), 0)
	if room > maxExcerpt {
		s.excerpt = strings.Repeat("x", maxExcerpt/2)
		s.padding = strings.Repeat("x", room-len(s.excerpt)-len(padding))
	} else {
		s.excerpt = strings.Repeat("x", room)
	}
	return s, nil
}

// answerID is that of the i-th event.
func answerID(i int) string { return fmt.Sprintf("a%0*d", idLength-1, i) }

// index is the number of the event with this answer id.
func index(id string) (i int, ok bool) {
	digits, ok := strings.CutPrefix(id, "a")
	i, err := strconv.Atoi(digits)
	return i, ok && err == nil && i >= 0
}

// poisonIndex is that of a payload which nothing can decode.
func poisonIndex(payload []byte) (i int, ok bool) {
	rest, ok := bytes.CutPrefix(payload, []byte(poisonStart))
	if !ok || len(rest) < idLength {
		return 0, false
	}
	return index(string(rest[:idLength]))
}

func (s source) payload(i int) ([]byte, error) {
	id := answerID(i)
	return event.AnswerAdded{
		AnswerID: id, QuestionID: fmt.Sprintf("q%0*d", idLength-1, i/answersEach), AuthorID: fmt.Sprintf("u%03d", i%1000),
		Excerpt: s.excerpt, OccurredAt: s.now, EventID: id,
	}.Encode()
}

// message is the i-th event. Poison is one that lacks its end, so that nothing
// can decode it.
func (s source) message(i int) (*message.Message, error) {
	payload, err := s.payload(i)
	if err != nil {
		return nil, fmt.Errorf("making an event: %w", err)
	}
	if s.padding != "" {
		payload = append(payload[:len(payload)-1], padding[:len(padding)-1]+s.padding+`"}`...)
	}
	if s.poisoned(i) {
		payload = payload[:len(payload)-1]
	}
	return producer.NewMessage(answerID(i), payload, nil), nil
}

// poisoned spreads the share evenly.
func (s source) poisoned(i int) bool { return (i+1)*s.poison/100 != i*s.poison/100 }
