package importer

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// maxAttribute is how many bytes of one attribute reach the decoder. No text of an event is as long, and the rest is passed over.
const maxAttribute = 512 << 10

// input feeds the XML decoder with what it can read: UTF-8 without a byte order mark, and U+FFFD in place of each character that XML
// forbids, also where the file writes it as a reference such as &#1;. Real dumps have such characters, and the decoder would end there.
//
// It stops the decoder when one token grows beyond what a dump can hold: the decoder keeps a token whole in memory, so that a file of
// endless text would take all of it. Being an io.ByteReader, it is read without another buffer.
type input struct {
	r      *bufio.Reader
	utf16  bool
	big    bool // of UTF-16, the order of bytes
	begin  int64
	before int64 // where the last delivered character lies in the file
	after  int64 // where the next one lies
	given  int64 // bytes delivered
	rest   []byte
	place  attribute
	left   int // bytes until the token is too long

	line          int // of the next character
	replaced      int
	firstReplaced int // line
}

// attribute is where in a tag the input is, as far as it must know in order to shorten a long attribute.
type attribute struct {
	tag, opened bool // within a tag; behind a "<" that may begin one
	quote       byte // around the attribute; 0 outside
	length      int
	reference   int  // bytes of a reference that was begun; 0 outside
	passed      bool // the character whose bytes go on
}

// keeps follows the file by one byte, and reports whether the decoder needs it.
func (a *attribute) keeps(c byte) bool {
	switch {
	case a.quote != 0 && c == a.quote:
		a.quote, a.reference = 0, 0
	case a.quote != 0:
		a.length++
		if !utf8.RuneStart(c) {
			return !a.passed
		}
		a.passed = false
		switch over := a.length > maxAttribute; {
		case a.reference > 0 && c != ';' && a.reference < 12:
			a.reference++
		case a.reference > 0: // its end, and the decoder has its beginning
			a.reference = 0
		case over:
			a.passed = true
			return false
		case c == '&':
			a.reference = 1
		}
	case a.tag && (c == '"' || c == '\''):
		a.quote, a.length = c, 0
	case a.tag && c == '>':
		a.tag = false
	case !a.tag:
		a.tag = a.opened && (c|0x20 >= 'a' && c|0x20 <= 'z' || c == '_' || c == ':')
		a.opened = c == '<'
	}
	return true
}

// newInput finds out how the file is encoded. A read error comes again at the first ReadByte.
func newInput(r io.Reader) (*input, error) {
	in := &input{r: bufio.NewReaderSize(r, 64<<10), line: 1}
	head, _ := in.r.Peek(8)
	has := func(prefix string) bool { return strings.HasPrefix(string(head), prefix) }
	mark := 0
	switch {
	case has("\xff\xfe\x00\x00"), has("\x00\x00\xfe\xff"), has("<\x00\x00\x00"), has("\x00\x00\x00<"):
		return nil, errors.New("the file is UTF-32; convert it to UTF-8")
	case has("\xef\xbb\xbf"):
		mark = 3
	case has("\xff\xfe"), has("\xfe\xff"):
		mark, in.utf16, in.big = 2, true, head[0] == 0xfe
	case has("<\x00"), has("\x00<"):
		in.utf16, in.big = true, head[0] == 0
	case has("\x1f\x8b"), has("PK\x03\x04"), has("7z\xbc\xaf"), has("BZh"), has("\xfd7zXZ"), has("\x28\xb5\x2f\xfd"):
		return nil, errors.New("the file is compressed; unpack it, and name the Posts.xml that comes out")
	}
	n, _ := in.r.Discard(mark) // cannot fail: the bytes are buffered
	in.begin = int64(n)
	in.before, in.after = in.begin, in.begin
	return in, nil
}

// offset is where in the file the decoder is that has read so many bytes. It gives back one byte at most.
func (in *input) offset(decoder int64) int64 {
	if decoder < in.given {
		return in.before
	}
	return in.after
}

func (in *input) ReadByte() (byte, error) {
	if in.left <= 0 {
		return 0, errTokenTooLong
	}
	for {
		if len(in.rest) == 0 {
			if err := in.fill(); err != nil {
				return 0, err
			}
		}
		c := in.rest[0]
		in.rest = in.rest[1:]
		if in.place.keeps(c) {
			in.left--
			in.given++
			return c, nil
		}
	}
}

// Read makes input an io.Reader, as the decoder's type demands; the decoder itself reads by ReadByte.
func (in *input) Read(p []byte) (int, error) {
	for n := range p {
		c, err := in.ReadByte()
		if err != nil {
			return n, err
		}
		p[n] = c
	}
	return len(p), nil
}

// fill reads the next character, or reference to a forbidden one.
func (in *input) fill() error {
	r, size, err := in.next()
	if err != nil {
		return err
	}
	in.before = in.after
	in.after += int64(size)
	if r == '&' {
		if n := in.forbidden(); n > 0 {
			_, _ = in.r.Discard(n) // it is buffered
			in.after += int64(n)
			r = -1
		}
	}
	if !allowed(r) {
		r = utf8.RuneError
		if in.replaced++; in.replaced == 1 {
			in.firstReplaced = in.line
		}
	}
	if r == '\n' {
		in.line++
	}
	in.rest = utf8.AppendRune(in.rest[:0:cap(in.rest)], r)
	return nil
}

// next reads a character and its size in the file; it is -1 where the bytes are none.
func (in *input) next() (rune, int, error) {
	if !in.utf16 {
		r, size, err := in.r.ReadRune()
		if r == utf8.RuneError && size == 1 {
			r = -1
		}
		return r, size, err
	}
	unit := func() (rune, error) {
		b, err := in.r.Peek(2)
		if len(b) < 2 {
			return 0, err
		}
		if in.big {
			return rune(b[0])<<8 | rune(b[1]), nil
		}
		return rune(b[1])<<8 | rune(b[0]), nil
	}
	r, err := unit()
	if errors.Is(err, io.EOF) {
		n, _ := in.r.Discard(in.r.Buffered())
		if n > 0 { // half of a unit
			return -1, n, nil
		}
	}
	if err != nil {
		return 0, 0, err
	}
	_, _ = in.r.Discard(2)
	if !utf16.IsSurrogate(r) {
		return r, 2, nil
	}
	if low, err := unit(); err == nil && utf16.DecodeRune(r, low) != utf8.RuneError {
		_, _ = in.r.Discard(2)
		return utf16.DecodeRune(r, low), 4, nil
	}
	return -1, 2, nil
}

// forbidden is how many bytes follow an "&" that begins a reference to a character that XML forbids; 0 if it does not.
func (in *input) forbidden() int {
	const longest = 64 // of a reference, leading zeros included
	width := 1
	if in.utf16 {
		width = 2
	}
	ahead, _ := in.r.Peek(longest * width)
	ascii := ahead
	if in.utf16 {
		ascii = nil
		for i := 0; i+1 < len(ahead); i += 2 {
			c, zero := ahead[i], ahead[i+1]
			if in.big {
				c, zero = zero, c
			}
			if zero != 0 {
				break
			}
			ascii = append(ascii, c)
		}
	}
	end := bytes.IndexByte(ascii, ';')
	if end < 2 || ascii[0] != '#' {
		return 0
	}
	r, numeric := number(string(ascii[1:end]))
	if !numeric || allowed(r) {
		return 0
	}
	return (end + 1) * width
}

// number reads the digits of a reference, decimal or behind an x in hexadecimal; -1 is larger than any character.
func number(digits string) (r rune, ok bool) {
	base, allowedDigits := rune(10), "0123456789"
	if digits[0] == 'x' {
		base, allowedDigits, digits = 16, "0123456789abcdef", strings.ToLower(digits[1:])
	}
	for _, c := range digits {
		value := strings.IndexRune(allowedDigits, c)
		if value < 0 {
			return 0, false
		}
		if r >= 0 {
			r = r*base + rune(value)
		}
		if r > utf8.MaxRune {
			r = -1
		}
	}
	return r, digits != ""
}

// allowed reports that XML 1.0 allows the character (its production 2, "Char").
func allowed(r rune) bool {
	switch {
	case r == '\t', r == '\n', r == '\r':
		return true
	case r < ' ', r >= 0xd800 && r < 0xe000, r == 0xfffe, r == 0xffff:
		return false
	}
	return r <= utf8.MaxRune
}

// charset makes the decoder take what a file says of its encoding: the input has made UTF-8 of it already.
func charset(name string, in io.Reader) (io.Reader, error) {
	switch strings.ToLower(name) {
	case "utf-8", "utf8", "utf-16", "utf-16le", "utf-16be", "ucs-2", "us-ascii", "ascii":
		return in, nil
	}
	return nil, fmt.Errorf("the file says that its encoding is %.40q; convert it to UTF-8", name)
}
