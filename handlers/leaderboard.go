package handlers

import "github.com/answerfeed/answerfeed/app/event"

// Leaderboard counts each author's answers: the second subscriber of the
// answer topics, with queues and a pace of its own.
func Leaderboard() Handler {
	return Handler{
		Name: "leaderboard",
		Topics: func(e Env) []Topic {
			return []Topic{
				On(event.TopicAnswerAdded, event.DecodeAnswerAdded, e.Leaderboard.AnswerAdded),
				On(event.TopicAnswerRemoved, event.DecodeAnswerRemoved, e.Leaderboard.AnswerRemoved),
			}
		},
	}
}
