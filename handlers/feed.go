package handlers

import "github.com/answerfeed/answerfeed/app/event"

// Feed keeps the feed of newest questions, which the web pages show.
func Feed() Handler {
	return Handler{
		Name: "feed",
		Topics: func(e Env) []Topic {
			return []Topic{
				On(event.TopicQuestionAdded, event.DecodeQuestionAdded, e.Feed.QuestionAdded),
				On(event.TopicAnswerAdded, event.DecodeAnswerAdded, e.Feed.AnswerAdded),
				On(event.TopicAnswerRemoved, event.DecodeAnswerRemoved, e.Feed.AnswerRemoved),
			}
		},
	}
}
