package event_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/answerfeed/answerfeed/app/event"
)

func TestVersion_Before(t *testing.T) {
	small, large := event.Digest{1}, event.Digest{1, 2}
	for _, test := range []struct {
		name  string
		v, o  event.Version
		first bool
	}{
		{"earlier", event.Version{At: 1, Digest: large}, event.Version{At: 2, Digest: small}, true},
		{"later", event.Version{At: 2, Digest: small}, event.Version{At: 1, Digest: large}, false},
		{"same time, smaller digest", event.Version{At: 1, Digest: small}, event.Version{At: 1, Digest: large}, true},
		{"same time, larger digest", event.Version{At: 1, Digest: large}, event.Version{At: 1, Digest: small}, false},
		{"the same", event.Version{At: 1, Digest: small}, event.Version{At: 1, Digest: small}, false},
	} {
		t.Run(test.name, func(t *testing.T) { require.Equal(t, test.first, test.v.Before(test.o)) })
	}
}
