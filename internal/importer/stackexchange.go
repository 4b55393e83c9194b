package importer

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
)

const (
	maxToken = 4 << 20 // a post has at most 30,000 characters; escaped they stay far below this
	maxDepth = 64      // a dump has two levels
)

var errTokenTooLong = fmt.Errorf("a row or text of more than %d bytes", maxToken)

// StackExchange reads a Stack Exchange Posts.xml from r and hands each question and answer to yield, in the order of the file.
//
// The file is UTF-8 or UTF-16, with or without a byte order mark. Characters that XML forbids are replaced: see Counts.Replaced.
//
// It stops at the first error of yield or of the file: not XML, no <posts>, truncated, unreadable. The error names the byte, and
// wraps yield's. Rows that are XML but cannot be an event stop nothing: see Counts.Bad. Counts is right on error too: what it
// counts, yield has taken.
func StackExchange(r io.Reader, o Options, yield func(Event) error) (Counts, error) {
	var counts Counts
	if err := o.check(); err != nil {
		return counts, err
	}
	in, err := newInput(r)
	if err != nil {
		return counts, fmt.Errorf("read posts at byte 0: %w", err)
	}
	decoder := xml.NewDecoder(in)
	decoder.CharsetReader = charset
	depth, ended := 0, false
	for {
		in.left = maxToken
		offset := in.offset(decoder.InputOffset())
		token, err := decoder.Token()
		counts.Replaced, counts.ReplacedLine = in.replaced, in.firstReplaced
		if errors.Is(err, io.EOF) && ended {
			return counts, nil
		}
		if errors.Is(err, io.EOF) {
			return counts, fmt.Errorf("read posts at byte %d: the file ends before <posts>", offset)
		}
		if err != nil {
			return counts, fmt.Errorf("read posts at byte %d: %w", in.offset(decoder.InputOffset()), err)
		}
		switch token := token.(type) {
		case xml.StartElement:
			if depth == 0 && (ended || token.Name.Local != "posts") {
				return counts, fmt.Errorf("read posts at byte %d: the file is not one <posts> element", offset)
			}
			if depth++; depth > maxDepth {
				return counts, fmt.Errorf("read posts at byte %d: elements nested deeper than %d levels", offset, maxDepth)
			}
			if depth == 2 && token.Name.Local == "row" {
				if err := counts.row(token.Attr, offset, o, yield); err != nil {
					return counts, fmt.Errorf("import the post at byte %d: %w", offset, err)
				}
			}
		case xml.EndElement:
			depth--
			ended = depth == 0
		case xml.CharData:
			if depth == 0 && len(bytes.TrimSpace(token)) > 0 {
				return counts, fmt.Errorf("read posts at byte %d: text outside <posts>", offset)
			}
		}
	}
}

// row hands on what a row stands for, and counts it once it is handed on. The error is yield's.
func (c *Counts) row(attributes []xml.Attr, offset int64, o Options, yield func(Event) error) error {
	var (
		p     = newPost(attributes)
		e     Event
		err   error
		taken *int
	)
	switch p.kind {
	case "1":
		e, err = p.question(o)
		taken = &c.Questions
	case "2":
		e, err = p.answer(o)
		taken = &c.Answers
	case "":
		err = errors.New("attribute PostTypeId: missing")
	default:
		c.Skipped++
		return nil
	}
	if err != nil {
		c.Bad++
		if o.Report != nil {
			o.Report(offset, err)
		}
		return nil
	}
	if err := yield(e); err != nil {
		return err
	}
	*taken++
	return nil
}
