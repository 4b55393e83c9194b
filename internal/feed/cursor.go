package feed

import (
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"unicode/utf8"
)

// ErrBadCursor is returned by [Store.List] for a cursor that List never gave.
var ErrBadCursor = errors.New("bad cursor")

// A cursor's first byte is its version. Then follow asked_at in microseconds,
// eight bytes, big-endian, and the question's id.
const (
	cursorVersion = 1
	cursorHeader  = 1 + 8
	maxID         = 128 // bytes
)

// position is a place in the feed: behind the question of this time and id.
type position struct {
	askedAt int64
	id      string
}

// newest is before every question.
func newest() position { return position{askedAt: math.MaxInt64} }

// text is the position as an opaque cursor, in unpadded base64url.
func (p position) text() string {
	b := binary.BigEndian.AppendUint64([]byte{cursorVersion}, uint64(p.askedAt))
	return base64.RawURLEncoding.EncodeToString(append(b, p.id...))
}

func parsePosition(cursor string) (position, error) {
	b, err := base64.RawURLEncoding.DecodeString(cursor)
	switch {
	case err != nil:
		return position{}, fmt.Errorf("%w: not base64url", ErrBadCursor)
	case len(b) <= cursorHeader || len(b) > cursorHeader+maxID:
		return position{}, fmt.Errorf("%w: wrong length", ErrBadCursor)
	case b[0] != cursorVersion:
		return position{}, fmt.Errorf("%w: of another version", ErrBadCursor)
	case !utf8.Valid(b[cursorHeader:]):
		return position{}, fmt.Errorf("%w: not an id", ErrBadCursor)
	}
	p := position{askedAt: int64(binary.BigEndian.Uint64(b[1:])), id: string(b[cursorHeader:])}
	if p.text() != cursor { // the decoder passes over line ends
		return position{}, fmt.Errorf("%w: not base64url", ErrBadCursor)
	}
	return p, nil
}
