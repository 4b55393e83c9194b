package event

import (
	"fmt"
	"time"
	"unicode/utf8"
)

// Encode returns the event as its canonical payload: one line, members in the order of the contract, optional ones left out when
// empty, times in UTC with six decimals. The same event always gives the same bytes. The error is an *Error.
func (e QuestionAdded) Encode() ([]byte, error) { return encode(time.Now(), e.fields()) }

// Encode returns the event as its canonical payload, as QuestionAdded's does. The error is an *Error.
func (e AnswerAdded) Encode() ([]byte, error) { return encode(time.Now(), e.fields()) }

// Encode returns the event as its canonical payload, as QuestionAdded's does. The error is an *Error.
func (e AnswerRemoved) Encode() ([]byte, error) { return encode(time.Now(), e.fields()) }

func encode(now time.Time, fields []field) ([]byte, error) {
	payload := append(make([]byte, 0, 512), '{')
	for _, f := range fields {
		if !f.required && f.empty() {
			continue
		}
		if err := f.check(now); err != nil {
			return nil, err
		}
		if len(payload) > 1 {
			payload = append(payload, ',')
		}
		payload = appendString(payload, f.name)
		payload = append(payload, ':')
		if f.kind == moment {
			payload = append(payload, '"')
			payload = f.time.UTC().AppendFormat(payload, "2006-01-02T15:04:05.000000Z07:00") // cuts, does not round
			payload = append(payload, '"')
		} else {
			payload = appendString(payload, *f.text)
		}
	}
	payload = append(payload, '}')
	if len(payload) > MaxPayload {
		return nil, tooLarge("", fmt.Sprintf("larger than %d bytes", MaxPayload))
	}
	return payload, nil
}

func (f *field) empty() bool {
	if f.kind == moment {
		return f.time.IsZero()
	}
	return *f.text == ""
}

// check reports what decoding would refuse.
func (f *field) check(now time.Time) error {
	var problem string
	switch {
	case f.kind == moment:
		problem = momentProblem(*f.time, now)
	case !utf8.ValidString(*f.text):
		problem = "not valid UTF-8"
	default:
		problem = f.kind.problem(*f.text)
	}
	if problem != "" {
		return invalid(f.name, problem)
	}
	return nil
}

// appendString appends s, which is valid UTF-8, as a JSON string. It escapes what JSON demands and nothing else, not even <, > and
// &, as encoding/json would: a payload is no part of a page, and is to be read by people.
func appendString(dst []byte, s string) []byte {
	const digits = "0123456789abcdef"
	dst = append(dst, '"')
	for _, c := range []byte(s) {
		switch {
		case c == '"' || c == '\\':
			dst = append(dst, '\\', c)
		case c >= ' ':
			dst = append(dst, c)
		case c == '\n':
			dst = append(dst, '\\', 'n')
		case c == '\t':
			dst = append(dst, '\\', 't')
		default:
			dst = append(dst, '\\', 'u', '0', '0', digits[c>>4], digits[c&0xf])
		}
	}
	return append(dst, '"')
}
