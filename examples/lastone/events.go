package main

import (
	"encoding/json"
	"errors"
	"time"
	"unicode/utf8"

	"github.com/answerfeed/answerfeed/app/failure"
)

const (
	topicPlaced  = "order-placed"
	topicWon     = "order-won"
	topicRevoked = "order-revoked" // the compensation of order-won
)

// order is the payload of all three topics.
type order struct {
	OrderID  string    `json:"order_id"`  // 1 to 128 bytes
	ItemID   string    `json:"item_id"`   // 1 to 128 bytes
	Buyer    string    `json:"buyer"`     // 1 to 128 bytes
	PlacedAt time.Time `json:"placed_at"` // RFC 3339; cut to microseconds
	EventID  string    `json:"event_id,omitempty"`
}

// Encode makes it an event of the outbox.
func (o order) Encode() ([]byte, error) { return json.Marshal(o) }

// before tells which of two orders is the earlier: at a tie the one with the
// smaller id, so that everybody agrees.
func (o order) before(other order) bool {
	if !o.PlacedAt.Equal(other.PlacedAt) {
		return o.PlacedAt.Before(other.PlacedAt)
	}
	return o.OrderID < other.OrderID
}

// decode reads a payload. Its errors are permanent, since a payload does not
// change when it comes again, and hold no part of it.
func decode(payload []byte) (o order, err error) {
	if !utf8.Valid(payload) || json.Unmarshal(payload, &o) != nil { // json's own errors may quote the payload
		return o, failure.Permanent(failure.Malformed, errors.New("not a JSON object with the fields of an order"))
	}
	for _, id := range []string{o.OrderID, o.ItemID, o.Buyer} {
		if len(id) < 1 || len(id) > 128 {
			return o, failure.Permanent(failure.Invalid, errors.New("order_id, item_id and buyer must be 1 to 128 bytes each"))
		}
	}
	if o.PlacedAt.IsZero() {
		return o, failure.Permanent(failure.Invalid, errors.New("placed_at: it is missing"))
	}
	o.PlacedAt = o.PlacedAt.UTC().Truncate(time.Microsecond)
	return o, nil
}
