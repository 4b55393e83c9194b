package producer

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"unicode/utf8"

	"github.com/answerfeed/answerfeed/app/event"
	"github.com/answerfeed/answerfeed/internal/transport"
)

// maxLine bounds one line: a payload of 1 MiB in base64, its metadata, and
// room for what --raw may carry.
const maxLine = 8 << 20

// errLongLine is reported for a line that is passed over for its length.
var errLongLine = fmt.Errorf("longer than %d bytes", maxLine)

// line is one line of NDJSON.
type line struct {
	topic, handler string
	metadata       map[string]string
	data           json.RawMessage
	dataBase64     []byte
}

// ParseLine reads one line: {"topic":…,"data":{…}}, with optional metadata, a
// handler whose queue alone is meant, and data_base64 in place of data for a
// payload of any bytes. Unless raw, the payload must be a valid event. With
// raw, data may be any JSON value, and a string stands for its bytes. An error
// never holds any part of the payload.
func ParseLine(text []byte, raw bool) (Item, error) {
	var l line
	if err := l.read(text); err != nil {
		return Item{}, err
	}
	if !event.ValidName(l.topic) {
		return Item{}, errors.New("topic: it must be 1 to 60 of a-z, 0-9 and -")
	}
	name := l.topic
	if l.handler != "" {
		if !event.ValidName(l.handler) {
			return Item{}, errors.New("handler: it must be 1 to 60 of a-z, 0-9 and -")
		}
		name = transport.Subscription{Topic: l.topic, Handler: l.handler}.Queue()
	}
	payload, err := l.payload(raw)
	if err != nil {
		return Item{}, err
	}
	if !raw {
		if err := event.Validate(l.topic, payload); err != nil {
			return Item{}, err
		}
		if err := event.CheckMetadata(l.metadata); err != nil {
			return Item{}, err
		}
	}
	return Item{Topic: name, Message: NewMessage(event.Identity(payload, ""), payload, l.metadata)}, nil
}

// read takes the keys one by one: a struct would match them in any case.
func (l *line) read(text []byte) error {
	if !utf8.Valid(text) {
		return errors.New("not valid UTF-8")
	}
	var values map[string]json.RawMessage
	d := json.NewDecoder(bytes.NewReader(text))
	if err := d.Decode(&values); err != nil {
		return fmt.Errorf("not a line of the form {\"topic\":…,\"data\":{…}}: %w", plain(err))
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return errors.New("there is more than one JSON value on the line")
	}
	keys := map[string]struct {
		into any
		form string
	}{
		"topic":       {&l.topic, "a string"},
		"handler":     {&l.handler, "a string"},
		"metadata":    {&l.metadata, "an object of strings"},
		"data":        {&l.data, "any JSON value"},
		"data_base64": {&l.dataBase64, "a string of base64"},
	}
	for _, name := range slices.Sorted(maps.Keys(values)) {
		key, known := keys[name]
		if !known {
			return fmt.Errorf("unknown key %.40q", name)
		}
		if json.Unmarshal(values[name], key.into) != nil { // its text may hold the value's
			return fmt.Errorf("%s: it must be %s", name, key.form)
		}
	}
	return nil
}

func (l line) payload(raw bool) ([]byte, error) {
	switch {
	case l.data != nil && l.dataBase64 != nil:
		return nil, errors.New("data and data_base64 are both there; give one")
	case l.dataBase64 != nil:
		return l.dataBase64, nil
	case l.data == nil:
		return nil, errors.New("data is missing")
	}
	var text string
	if raw && json.Unmarshal(l.data, &text) == nil && l.data[0] == '"' {
		return []byte(text), nil
	}
	return l.data, nil
}

// plain says what is wrong with a line as a whole, without any of its text.
func plain(err error) error {
	if syntax, ok := errors.AsType[*json.SyntaxError](err); ok {
		return fmt.Errorf("malformed JSON at byte %d", syntax.Offset)
	}
	if kind, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		return fmt.Errorf("it is a JSON %s", kind.Value)
	}
	return errors.New("the JSON ends too early")
}

// Lines calls yield with each line of r that is not blank, its number (from
// 1), and the bytes read so far. A line that is too long is passed over, with
// an error in place of its text. A byte order mark before a line is passed
// over; a file that is not UTF-8 is one error. It returns what reading met.
func Lines(r io.Reader, yield func(text []byte, number int, read int64, err error) error) error {
	in := bufio.NewReaderSize(r, 64<<10)
	var read int64
	head, _ := in.Peek(4) // an error comes again
	if encoding := event.Encoding(head); encoding != "" {
		return yield(nil, 1, read, fmt.Errorf("the file is %s; convert it to UTF-8", encoding))
	}
	for number := 1; ; number++ {
		text, n, long, err := readLine(in)
		read += n
		if err != nil && !errors.Is(err, io.EOF) {
			return fmt.Errorf("reading line %d: %w", number, err)
		}
		end := err != nil
		var yielded error
		if long {
			yielded = yield(nil, number, read, errLongLine)
		} else if text = bytes.TrimSpace(event.WithoutMark(bytes.TrimSpace(text))); len(text) > 0 {
			yielded = yield(text, number, read, nil)
		}
		if yielded != nil || end {
			return yielded
		}
	}
}

func readLine(in *bufio.Reader) (text []byte, n int64, long bool, err error) {
	for {
		var part []byte
		part, err = in.ReadSlice('\n')
		n += int64(len(part))
		if long = long || len(text)+len(part) > maxLine; !long {
			text = append(text, part...)
		}
		if !errors.Is(err, bufio.ErrBufferFull) {
			return text, n, long, err
		}
	}
}
