package transporttest

import (
	"sync"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/stretchr/testify/require"

	"github.com/answerfeed/answerfeed/internal/transport"
)

func queues() []row {
	return []row{
		{"publishing where nobody listens is an error, and that publish's alone", false, nobody},
		{"what cannot be subscribed to is an error", false, cannotSubscribe},
		{"a queue collects while its handler is disabled", false, disabled},
		{"backlog figures", false, figures},
		{"the age of the oldest message", false, age},
		{"pruning removes a handler's queues and nothing else", false, prune},
		{"migrating twice and concurrently", false, migrate},
		{"transports with different prefixes do not see each other", false, prefixes},
		{"the broker answers a ping", false, ping},
	}
}

func nobody(s *stage) {
	t := s.open(Settings{})
	for _, to := range []string{"question-added", "answer-added.mail", "answer", "answer-added.", "nobody.feed", "", "not a name", "ü'\""} {
		require.ErrorIs(s, t.Publisher().Publish(to, message.NewMessage("x", nil)), transport.ErrNoQueue, to)
	}
	require.Zero(s, s.backlog(t))
	require.NoError(s, t.Publisher().Publish(topic), "no messages at all")

	const n = 50
	var all sync.WaitGroup
	good, bad := make([]error, n), make([]error, n)
	for i := range n {
		all.Go(func() { good[i] = t.Publisher().Publish(topic, message.NewMessage("x", nil)) })
		all.Go(func() { bad[i] = t.Publisher().Publish("nobody", message.NewMessage("x", nil)) })
	}
	all.Wait()
	for i := range n {
		require.NoError(s, good[i])
		require.ErrorIs(s, bad[i], transport.ErrNoQueue)
	}
	require.Equal(s, transport.Backlog{Ready: n}, s.backlog(t))
}

func cannotSubscribe(s *stage) {
	t := s.open(Settings{})
	_, err := t.Subscriber(window(0))
	require.Error(s, err)
	_, err = t.Subscriber(transport.Consumer{Window: 1})
	require.Error(s, err)
	sub, err := t.Subscriber(transport.Consumer{Subscription: subscription("mail"), Window: 1})
	if err == nil {
		_, err = sub.Subscribe(s.Context(), topic)
	}
	require.ErrorIs(s, err, transport.ErrNoQueue)
}

func disabled(s *stage) {
	subs := []transport.Subscription{subscription(), subscription("leaderboard")}
	t := s.open(Settings{}, subs...)
	want := s.publish(t, topic, 3)
	// The next start knows of one handler alone.
	require.NoError(s, t.Close())
	t = s.open(Settings{}, subscription())
	want = append(want, s.publish(t, topic, 3)...)
	t = s.open(Settings{}, subs...) // and the one after knows of both again
	require.Equal(s, transport.Backlog{Ready: 6}, s.backlog(t, "leaderboard"))
	got := s.consume(t, transport.Consumer{Subscription: subscription("leaderboard"), Window: 10}).take(6)
	require.ElementsMatch(s, want, ids(got))
	ack(got...)
	s.settles(t, transport.Backlog{}, "leaderboard")
}

func figures(s *stage) {
	t := s.open(Settings{NackPause: long}, subscription(), subscription("leaderboard"))
	require.Zero(s, s.backlog(t))
	s.publish(t, topic, 10)
	c := s.consume(t, window(4))
	held := c.take(4)
	require.Equal(s, transport.Backlog{Ready: 6, InFlight: 4}, s.backlog(t))
	require.NoError(s, t.DeadLetter(s.Context(), held[0]))
	held[0].Ack()
	require.NoError(s, t.Redeliver(s.Context(), held[1], long))
	held[1].Ack()
	held = append(held[2:], c.take(2)...)
	s.settles(t, transport.Backlog{Ready: 4, InFlight: 4, Delayed: 1, Dead: 1})
	require.Equal(s, transport.Backlog{Ready: 10}, s.backlog(s.open(Settings{}, subscription(), subscription("leaderboard")), "leaderboard"), "as another process sees it")
	ack(held...)
	ack(c.take(4)...)
	s.settles(t, transport.Backlog{Delayed: 1, Dead: 1})
}

func age(s *stage) {
	if !s.Ages {
		return
	}
	const old = 100 * time.Millisecond
	t := s.open(Settings{}, subscription())
	oldest := func() time.Duration {
		all, err := t.Backlog(s.Context())
		require.NoError(s, err)
		require.Len(s, all, 1)
		return all[0].Oldest
	}
	require.Zero(s, oldest())
	began := time.Now()
	s.publish(t, topic, 1)
	require.True(s, s.until(func() bool { return oldest() >= old }))
	require.LessOrEqual(s, oldest(), time.Since(began)+time.Millisecond)
	s.consume(t, window(1)).next().Ack()
	require.True(s, s.until(func() bool { return oldest() == 0 }))
}

func prune(s *stage) {
	second := transport.Subscription{Topic: "question-added", Handler: handler}
	t := s.open(Settings{}, subscription(), second, subscription("leaderboard"))
	s.publish(t, topic, 2500)
	names, err := t.Prune(s.Context(), handler)
	require.NoError(s, err)
	require.ElementsMatch(s, []string{
		subscription().Queue(), subscription().DeadQueue(), second.Queue(), second.DeadQueue(),
	}, names)
	for _, gone := range []string{second.Topic, second.Queue(), subscription().Queue(), subscription().DeadQueue()} {
		require.ErrorIs(s, t.Publisher().Publish(gone, message.NewMessage("x", nil)), transport.ErrNoQueue)
	}
	all, err := t.Backlog(s.Context())
	require.NoError(s, err)
	require.Len(s, all, 1)
	require.Equal(s, transport.Backlog{Ready: 2500}, s.backlog(t, "leaderboard"))

	names, err = t.Prune(s.Context(), handler)
	require.NoError(s, err)
	require.Empty(s, names)
	require.NoError(s, t.Migrate(s.Context(), []transport.Subscription{subscription("new"), subscription()}))
	require.Zero(s, s.backlog(t, "new"))
	require.Zero(s, s.backlog(t), "what was pruned does not come back")
}

func migrate(s *stage) {
	subs := []transport.Subscription{subscription(), subscription("leaderboard")}
	first := s.open(Settings{}, subs...)
	s.publish(first, topic, 3)
	transports := []transport.Transport{first}
	for range 3 {
		transports = append(transports, s.Open(s.T, Settings{}))
	}
	var all sync.WaitGroup
	errs := make([]error, 8)
	for i := range errs {
		all.Go(func() {
			errs[i] = transports[i%len(transports)].Migrate(s.Context(), append(subs, subscription("mail")))
		})
	}
	all.Wait()
	for _, err := range errs {
		require.NoError(s, err)
	}
	require.NoError(s, first.Migrate(s.Context(), nil))
	backlog, err := first.Backlog(s.Context())
	require.NoError(s, err)
	require.Len(s, backlog, 3)
	require.Equal(s, transport.Backlog{Ready: 3}, s.backlog(first), "its messages are still there")
}

func prefixes(s *stage) {
	plain, a := s.open(Settings{}), s.open(Settings{Prefix: "a-"})
	b := s.open(Settings{Prefix: "b_"}, subscription("leaderboard"))
	want := s.publish(a, topic, 2)
	require.Equal(s, transport.Backlog{Ready: 2}, s.backlog(a))
	require.Zero(s, s.backlog(plain))
	require.ErrorIs(s, b.Publisher().Publish(subscription().Queue(), message.NewMessage("x", nil)), transport.ErrNoQueue)
	all, err := b.Backlog(s.Context())
	require.NoError(s, err)
	require.Equal(s, []transport.Backlog{{Topic: topic, Handler: "leaderboard"}}, all)
	s.consume(plain, window(10)).none()
	got := s.consume(a, window(10)).take(2)
	require.ElementsMatch(s, want, ids(got))
	ack(got...)
	s.settles(a, transport.Backlog{})
	names, err := plain.Prune(s.Context(), "leaderboard")
	require.NoError(s, err)
	require.Empty(s, names)
}

func ping(s *stage) {
	require.NoError(s, s.open(Settings{}).Ping(s.Context()))
}
