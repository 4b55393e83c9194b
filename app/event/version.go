package event

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"time"
)

// Version orders what events say of one key. The later one counts; at the
// same microsecond the one with the larger digest, which is the same for
// everybody. Two payloads with one digest are one.
type Version struct {
	At     int64 // the later of occurred_at and edited_at, microseconds since 1970, UTC
	Digest Digest
}

// Before reports that o counts, and v does not.
func (v Version) Before(o Version) bool {
	if v.At != o.At {
		return v.At < o.At
	}
	return bytes.Compare(v.Digest[:], o.Digest[:]) < 0
}

// Version is where the event stands among those of its question.
func (e QuestionAdded) Version() Version { return version(e.OccurredAt, e.EditedAt, e.Digest) }

// Version is where the event stands among those of its answer.
func (e AnswerAdded) Version() Version { return version(e.OccurredAt, e.EditedAt, e.Digest) }

func version(occurred, edited time.Time, d Digest) Version {
	at := occurred.UnixMicro()
	if !edited.IsZero() {
		at = max(at, edited.UnixMicro())
	}
	return Version{At: at, Digest: d}
}

// digest is larger the later a copy was made. Its first byte puts it above all
// but one in 256 of the payloads that are no copy, such as an earlier import.
func digest(payload []byte, copied time.Time) Digest {
	sum := sha256.Sum256(payload)
	if copied.IsZero() {
		return sum
	}
	var d Digest
	binary.BigEndian.PutUint64(d[:8], 0xff<<56|uint64(copied.UnixMicro()))
	copy(d[8:], sum[:])
	return d
}
