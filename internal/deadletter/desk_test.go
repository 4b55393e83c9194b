package deadletter_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/answerfeed/answerfeed/app/database"
	"github.com/answerfeed/answerfeed/internal/deadletter"
)

// everything pages through what a filter selects.
func everything(t testing.TB, d *deadletter.Desk, f deadletter.Filter, limit int) (ids []string) {
	t.Helper()
	for cursor := ""; ; {
		page, err := d.List(t.Context(), f, limit, cursor)
		require.NoError(t, err)
		require.LessOrEqual(t, len(page.Letters), limit)
		for _, l := range page.Letters {
			ids = append(ids, l.ID)
		}
		if cursor = page.Next; cursor == "" {
			return ids
		}
	}
}

func TestList_FiltersAndPages(t *testing.T) {
	onEach(t, func(t *testing.T, driver string) {
		r := newRig(t, driver)
		var all []*deadletter.Letter
		for i := range 60 {
			l := letter(identity(fmt.Sprint(i)), func(l *deadletter.Letter) {
				l.Handler = []string{"feed", "leaderboard"}[i%2]
				l.Topic = []string{"answer-added", "question-viewed", "answer-removed"}[i%3]
				l.Reason = []string{"invalid", "panic"}[i/6%2]
				l.Error = []string{"one", "Two"}[i/12%2]
				l.LastFailedAt = someTime.Add(time.Duration(i/2) * time.Second) // two at a time
				l.Payload = fmt.Appendf(nil, `{"n":"<%d>"}`, i)
			})
			all = append(all, l)
		}
		r.save(t, all...)
		panicked := all[6]
		filters := map[string]struct {
			f    deadletter.Filter
			want func(*deadletter.Letter) bool
		}{
			"all":         {deadletter.Filter{}, func(*deadletter.Letter) bool { return true }},
			"handler":     {deadletter.Filter{Handler: "feed"}, func(l *deadletter.Letter) bool { return l.Handler == "feed" }},
			"two":         {deadletter.Filter{Topic: "answer-added", Reason: "panic"}, func(l *deadletter.Letter) bool { return l.Topic == "answer-added" && l.Reason == "panic" }},
			"fingerprint": {deadletter.Filter{Fingerprint: panicked.Fingerprint}, func(l *deadletter.Letter) bool { return l.Fingerprint == panicked.Fingerprint }},
			"fingerprint and what it implies": {deadletter.Filter{Fingerprint: panicked.Fingerprint, Handler: panicked.Handler, Reason: panicked.Reason, Topic: panicked.Topic},
				func(l *deadletter.Letter) bool {
					return l.Fingerprint == panicked.Fingerprint && l.Topic == panicked.Topic
				}},
			"fingerprint of another handler": {deadletter.Filter{Fingerprint: panicked.Fingerprint, Handler: "x"}, func(*deadletter.Letter) bool { return false }},
			"fingerprint of another reason":  {deadletter.Filter{Fingerprint: panicked.Fingerprint, Reason: "x"}, func(*deadletter.Letter) bool { return false }},
			"no such fingerprint":            {deadletter.Filter{Fingerprint: "x", Reason: "panic"}, func(*deadletter.Letter) bool { return false }},
			"since":                          {deadletter.Filter{Since: someTime.Add(5 * time.Second)}, func(l *deadletter.Letter) bool { return !l.LastFailedAt.Before(someTime.Add(5 * time.Second)) }},
			"until":                          {deadletter.Filter{Until: someTime.Add(5 * time.Second)}, func(l *deadletter.Letter) bool { return l.LastFailedAt.Before(someTime.Add(5 * time.Second)) }},
			"text of an error":               {deadletter.Filter{Text: "tWO"}, func(l *deadletter.Letter) bool { return l.Error == "Two" }},
			"text of a payload":              {deadletter.Filter{Text: "<7>"}, func(l *deadletter.Letter) bool { return l.Identity == "7" }},
			"text within":                    {deadletter.Filter{Text: "two", Handler: "feed"}, func(l *deadletter.Letter) bool { return l.Error == "Two" && l.Handler == "feed" }},
			"no such text":                   {deadletter.Filter{Text: "\x00'%_"}, func(*deadletter.Letter) bool { return false }},
			"another state":                  {deadletter.Filter{State: deadletter.Discarded}, func(*deadletter.Letter) bool { return false }},
		}
		for name, test := range filters {
			t.Run(name, func(t *testing.T) {
				want := 0
				for _, l := range all {
					if test.want(l) {
						want++
					}
				}
				whole := everything(t, r.desk, test.f, deadletter.MaxLimit)
				require.Len(t, whole, want)
				byID := map[string]*deadletter.Letter{}
				for _, l := range all {
					byID[l.ID] = l
				}
				for i, id := range whole {
					require.True(t, test.want(byID[id]))
					if i > 0 {
						before := byID[whole[i-1]]
						require.False(t, before.LastFailedAt.Before(byID[id].LastFailedAt), "newest first")
					}
				}
				for _, limit := range []int{1, 7} {
					require.Equal(t, whole, everything(t, r.desk, test.f, limit))
				}
			})
		}
	})
}

func TestList_WhatCannotBeUsed(t *testing.T) {
	r := newRig(t, database.SQLite)
	for _, cursor := range []string{"x", "eHg", "MTIz", "!"} {
		_, err := r.desk.List(t.Context(), deadletter.Filter{}, 10, cursor)
		require.ErrorIs(t, err, deadletter.ErrFilter)
	}
	for _, limit := range []int{0, -1, deadletter.MaxLimit + 1} {
		_, err := r.desk.List(t.Context(), deadletter.Filter{}, limit, "")
		require.ErrorIs(t, err, deadletter.ErrFilter)
		_, err = r.desk.Groups(t.Context(), deadletter.Filter{}, limit)
		require.ErrorIs(t, err, deadletter.ErrFilter)
		_, err = r.desk.Audit(t.Context(), limit)
		require.ErrorIs(t, err, deadletter.ErrFilter)
	}
	for _, f := range []deadletter.Filter{{State: "lost"}, {Since: someTime, Until: someTime}} {
		_, err := r.desk.List(t.Context(), f, 10, "")
		require.ErrorIs(t, err, deadletter.ErrFilter)
		_, err = r.desk.Discard(t.Context(), deadletter.Selection{Filter: f}, deadletter.Options{})
		require.ErrorIs(t, err, deadletter.ErrFilter)
	}
	_, err := r.desk.Requeue(t.Context(), deadletter.Selection{Filter: deadletter.Filter{State: deadletter.Discarded}}, deadletter.Options{})
	require.ErrorIs(t, err, deadletter.ErrFilter)
	acts, err := r.desk.Audit(t.Context(), 10)
	require.NoError(t, err)
	require.Empty(t, acts, "nothing was begun")
}

func TestGroups(t *testing.T) {
	onEach(t, func(t *testing.T, driver string) {
		r := newRig(t, driver)
		for i := range 6 {
			r.save(t, letter(identity(fmt.Sprint(i)), func(l *deadletter.Letter) {
				l.Error = []string{"one", "one", "two"}[i%3]
				l.LastFailedAt = someTime.Add(time.Duration(i) * time.Second)
			}))
		}
		got, err := r.desk.Groups(t.Context(), deadletter.Filter{}, 10)
		require.NoError(t, err)
		require.Len(t, got, 2)
		require.Equal(t, []int{4, 2}, []int{got[0].Letters, got[1].Letters})
		require.Equal(t, "one", got[0].Error)
		require.Equal(t, someTime.Add(4*time.Second), got[0].LastFailedAt)
		one, err := r.desk.Groups(t.Context(), deadletter.Filter{Fingerprint: got[1].Fingerprint, Handler: "feed", Topic: "answer-added", Reason: "invalid"}, 10)
		require.NoError(t, err)
		require.Equal(t, got[1:], one)
		_, err = r.desk.Discard(t.Context(), deadletter.Selection{Filter: deadletter.Filter{Fingerprint: got[0].Fingerprint}}, deadletter.Options{})
		require.NoError(t, err)
		got, err = r.desk.Groups(t.Context(), deadletter.Filter{}, 10)
		require.NoError(t, err)
		require.Equal(t, one, got, "a group without letters is none")
	})
}

func TestDiscardRestorePrune(t *testing.T) {
	onEach(t, func(t *testing.T, driver string) {
		r := newRig(t, driver)
		ctx := t.Context()
		a, b := letter(), letter(identity("e2"))
		r.save(t, a, b)
		result, err := r.desk.Discard(ctx, deadletter.Selection{}, deadletter.Options{DryRun: true})
		require.NoError(t, err)
		require.Equal(t, deadletter.Result{Selected: 2, Done: 2}, result)
		require.Equal(t, deadletter.Dead, r.state(t, a.ID))

		result, err = r.desk.Discard(ctx, deadletter.Selection{}, deadletter.Options{})
		require.NoError(t, err)
		require.Equal(t, 2, result.Done)
		requireExact(t, r.db)
		result, err = r.desk.Restore(ctx, deadletter.Selection{IDs: []string{b.ID}}, deadletter.Options{})
		require.NoError(t, err)
		require.Equal(t, 1, result.Done)
		require.Equal(t, deadletter.Dead, r.state(t, b.ID))
		requireExact(t, r.db)

		// The desk's clock is that of the letters, so both are long ago.
		removed, err := r.store.Prune(ctx)
		require.NoError(t, err)
		require.EqualValues(t, 1, removed)
		_, err = r.store.Get(ctx, a.ID)
		require.ErrorIs(t, err, deadletter.ErrNotFound)
		require.Equal(t, deadletter.Dead, r.state(t, b.ID), "dead letters are kept for ever")
		requireExact(t, r.db)

		acts, err := r.desk.Audit(ctx, 10)
		require.NoError(t, err)
		require.Equal(t, []deadletter.Act{
			{At: r.clock.now(), EndedAt: r.clock.now(), Who: "ann@desk", Action: "restore", Selection: b.ID, Letters: 1},
			{At: r.clock.now(), EndedAt: r.clock.now(), Who: "ann@desk", Action: "discard", Selection: "all", Letters: 2},
		}, acts)
		require.Contains(t, r.log.String(), "action=discard who=ann@desk selection=all letters=2")
	})
}
