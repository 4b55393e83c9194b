package event

import "testing"

// benchPayload is an event of 300 bytes, as an importer makes them.
const benchPayload = `{"question_id":"q174213","title":"How do I show that the product of two odd numbers is odd?","excerpt":"I tried a few pairs and it always works, but my teacher wants a proof & not examples.",` +
	`"subject":"mathematics","grade":"middle school","author_id":"u5521","occurred_at":"2026-02-14T09:30:12.250000Z"}`

func BenchmarkDecode(b *testing.B) {
	payload := []byte(benchPayload)
	b.SetBytes(int64(len(payload)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := DecodeQuestionAdded(payload); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkIdentity(b *testing.B) {
	payload := []byte(benchPayload)
	b.ReportAllocs()
	for b.Loop() {
		if Identity(payload, uuid) != uuid {
			b.Fatal("the payload has no event_id")
		}
	}
}

func BenchmarkEncode(b *testing.B) {
	e, err := DecodeQuestionAdded([]byte(benchPayload))
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := e.Encode(); err != nil {
			b.Fatal(err)
		}
	}
}
