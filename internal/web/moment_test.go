package web

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestRelative(t *testing.T) {
	const day = 24 * time.Hour
	for _, c := range []struct {
		age  time.Duration
		want string
	}{
		{0, "just now"},
		{59 * time.Second, "just now"},
		{-59 * time.Second, "just now"},
		{time.Minute, "1 minute ago"},
		{119 * time.Second, "1 minute ago"},
		{59 * time.Minute, "59 minutes ago"},
		{time.Hour, "1 hour ago"},
		{23 * time.Hour, "23 hours ago"},
		{day, "1 day ago"},
		{29 * day, "29 days ago"},
		{30 * day, "1 month ago"},
		{364 * day, "12 months ago"},
		{365 * day, "1 year ago"},
		{11 * 366 * day, "11 years ago"},
		{-3 * time.Hour, "in 3 hours"},
	} {
		require.Equal(t, c.want, relative(c.age), c.age)
	}
}

func TestMoment(t *testing.T) {
	at := time.Date(2025, 3, 10, 1, 2, 3, 456789000, time.FixedZone("CET", 3600))
	require.Equal(t, moment{ISO: "2025-03-10T00:02:03Z", Relative: "2 days ago", Absolute: "10 Mar 2025, 00:02 UTC"}, momentOf(at, at.Add(49*time.Hour)))
}
