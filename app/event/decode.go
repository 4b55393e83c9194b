package event

import "time"

// DecodeQuestionAdded reads the payload of a question-added message. The error is an *Error.
func DecodeQuestionAdded(payload []byte) (QuestionAdded, error) {
	return decodeQuestionAdded(payload, time.Now())
}

// DecodeAnswerAdded reads the payload of an answer-added message. The error is an *Error.
func DecodeAnswerAdded(payload []byte) (AnswerAdded, error) {
	return decodeAnswerAdded(payload, time.Now())
}

// DecodeAnswerRemoved reads the payload of an answer-removed message. The error is an *Error.
func DecodeAnswerRemoved(payload []byte) (AnswerRemoved, error) {
	return decodeAnswerRemoved(payload, time.Now())
}

// Validate reports, as an *Error, why payload may not be published on topic. Of a topic that this package does not know it asks
// no more than that the payload be one JSON object of legal size.
func Validate(topic string, payload []byte) error {
	var err error
	switch topic {
	case TopicQuestionAdded:
		_, err = DecodeQuestionAdded(payload)
	case TopicAnswerAdded:
		_, err = DecodeAnswerAdded(payload)
	case TopicAnswerRemoved:
		_, err = DecodeAnswerRemoved(payload)
	default:
		err = checkObject(WithoutMark(payload))
	}
	return err
}

func decodeQuestionAdded(payload []byte, now time.Time) (QuestionAdded, error) {
	payload = WithoutMark(payload)
	var e QuestionAdded
	if err := decode(payload, now, e.fields()); err != nil {
		return QuestionAdded{}, err
	}
	e.Digest = digest(payload, e.CopiedAt)
	return e, nil
}

func decodeAnswerAdded(payload []byte, now time.Time) (AnswerAdded, error) {
	payload = WithoutMark(payload)
	var e AnswerAdded
	if err := decode(payload, now, e.fields()); err != nil {
		return AnswerAdded{}, err
	}
	e.Digest = digest(payload, e.CopiedAt)
	return e, nil
}

func decodeAnswerRemoved(payload []byte, now time.Time) (AnswerRemoved, error) {
	payload = WithoutMark(payload)
	var e AnswerRemoved
	if err := decode(payload, now, e.fields()); err != nil {
		return AnswerRemoved{}, err
	}
	e.Digest = digest(payload, time.Time{})
	return e, nil
}

// decode fills what fields point to. The first problem, in the order of the table, is the error.
func decode(payload []byte, now time.Time, fields []field) error {
	if err := checkObject(payload); err != nil {
		return err
	}
	for key, value := range members(string(payload)) { // of which the event's texts are parts
		for i := range fields {
			if keyIs(key, fields[i].name) {
				fields[i].raw = value
				break
			}
		}
	}
	for i := range fields {
		if err := fields[i].decode(now); err != nil {
			return err
		}
	}
	return nil
}

// decode moves the member's raw value into the event.
func (f *field) decode(now time.Time) error {
	if f.raw == "" || f.raw == "null" {
		if f.required {
			return invalid(f.name, "missing")
		}
		return nil
	}
	if f.raw[0] != '"' {
		return invalid(f.name, "not a string")
	}
	text, ok := unquote(f.raw)
	if !ok {
		return invalid(f.name, "holds half of a surrogate pair")
	}
	if problem := f.kind.problem(text); problem != "" {
		return invalid(f.name, problem)
	}
	if f.kind != moment {
		*f.text = text
		return nil
	}
	at, ok := parseMoment(text)
	if !ok {
		return invalid(f.name, "not an RFC 3339 time with zone")
	}
	if problem := momentProblem(at, now); problem != "" {
		return invalid(f.name, problem)
	}
	*f.time = at
	return nil
}
