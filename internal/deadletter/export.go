package deadletter

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"unicode/utf8"

	"github.com/answerfeed/answerfeed/app/database"
	"github.com/answerfeed/answerfeed/internal/printable"
)

// MaxLine is the longest line that Export writes, in bytes: what `publish`
// reads.
const MaxLine = 8 << 20

// Export writes letters as NDJSON that `publish --raw` reads back: each line
// is the message, repaired if the letter is, for the queue of its handler
// alone. The letters stay what they are. A letter too long for a line is
// refused.
func (d *Desk) Export(ctx context.Context, s Selection, o Options, out io.Writer) (Result, error) {
	from := s.Filter.state()
	w := work{action: "export", from: from, any: true, sel: s, Options: o}
	w.do = func(ctx context.Context, a *act, batch []*Letter, refuse func(string, error)) ([]string, error) {
		ids := make([]string, len(batch))
		for i, l := range batch {
			ids[i] = l.ID
		}
		letters, err := load(ctx, d.db, ids)
		if err != nil {
			return nil, err
		}
		byID := map[string]*Letter{}
		for _, l := range letters {
			byID[l.ID] = l
		}
		var lines bytes.Buffer
		var written []string
		for _, id := range ids { // in the order of the list
			if byID[id] == nil {
				continue // forgotten in the meantime
			}
			line, err := byID[id].line()
			if err != nil {
				refuse(id, err)
				continue
			}
			lines.Write(line)
			written = append(written, id)
		}
		if _, err := out.Write(lines.Bytes()); err != nil {
			return nil, fmt.Errorf("writing: %w", err)
		}
		err = d.db.Update(ctx, database.Relaxed, func(ctx context.Context, tx *sql.Tx) error { return a.raise(ctx, tx, len(written)) })
		return written, err
	}
	return d.run(ctx, w)
}

// line is the letter for publish. The payload's bytes come back as they are:
// as data if they are an object that a line can hold, else in base64.
func (l *Letter) line() ([]byte, error) {
	m := l.message()
	var b bytes.Buffer
	for _, part := range []struct {
		before string
		value  any
	}{{`{"topic":`, l.Topic}, {`,"handler":`, l.Handler}, {`,"metadata":`, m.Metadata}} {
		text, err := json.Marshal(part.value)
		if err != nil {
			return nil, fmt.Errorf("encoding: %w", err)
		}
		b.WriteString(part.before)
		b.Write(printable.JSON(text))
	}
	if fitsLine(m.Payload) {
		b.WriteString(`,"data":`)
		b.Write(m.Payload)
	} else {
		b.WriteString(`,"data_base64":"`)
		b.WriteString(base64.StdEncoding.EncodeToString(m.Payload))
		b.WriteByte('"')
	}
	b.WriteString("}\n")
	if b.Len() > MaxLine {
		return nil, fmt.Errorf("its line would have %d bytes; publish reads %d", b.Len(), MaxLine)
	}
	return b.Bytes(), nil
}

// maxNesting keeps an object within what a reader of JSON takes, inside a line.
const maxNesting = 9000

// fitsLine reports that a payload is one JSON object that may be part of a
// line, every byte of it: nothing around it, no line break within, and no
// command to the terminal that shows the line. Escaping one would change the
// bytes.
func fitsLine(payload []byte) bool {
	return len(payload) > 1 && payload[0] == '{' && payload[len(payload)-1] == '}' &&
		bytes.IndexByte(payload, '\n') < 0 && bytes.IndexByte(payload, '\r') < 0 &&
		bytes.Count(payload, []byte("{"))+bytes.Count(payload, []byte("[")) < maxNesting &&
		utf8.Valid(payload) && json.Valid(payload) && !printable.Commands(payload)
}
