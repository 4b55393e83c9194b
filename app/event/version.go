package event

import "bytes"

// Version orders what events say of one key. The later one counts; at the
// same microsecond the one with the larger digest, which is arbitrary but the
// same for everybody. Two payloads with one digest are one.
type Version struct {
	At     int64 // occurred_at, microseconds since 1970, UTC
	Digest Digest
}

// Before reports that o counts, and v does not.
func (v Version) Before(o Version) bool {
	if v.At != o.At {
		return v.At < o.At
	}
	return bytes.Compare(v.Digest[:], o.Digest[:]) < 0
}
