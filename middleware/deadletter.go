package middleware

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/ThreeDotsLabs/watermill/message"
	wmiddleware "github.com/ThreeDotsLabs/watermill/message/router/middleware"

	"github.com/answerfeed/answerfeed/app/failure"
	"github.com/answerfeed/answerfeed/internal/crashpoint"
	"github.com/answerfeed/answerfeed/internal/transport"
)

// Exhausted is the reason of a letter whose failures were all transient.
const Exhausted failure.Reason = "exhausted"

// maxError is the most bytes of an error's text that a dead letter keeps.
const maxError = 4 << 10

// DeadLetter moves a message that failed permanently to the dead letters, with
// Watermill's poison keys and the error in its metadata. It replaces Watermill's
// PoisonQueue, which publishes a copy instead of moving the message, and which
// also poisons messages whose handling was merely interrupted.
func DeadLetter(s Settings) message.HandlerMiddleware {
	return func(next message.HandlerFunc) message.HandlerFunc {
		return func(m *message.Message) ([]*message.Message, error) {
			out, err := next(m)
			if err == nil {
				return out, nil
			}
			return nil, s.deadLetter(m, err)
		}
	}
}

// deadLetter returns nil when the dead letter is stored durably.
func (s *Settings) deadLetter(m *message.Message, err error) error {
	var verdict *failure.Verdict
	if !errors.As(err, &verdict) {
		return err // no verdict, so the message must come back
	}
	reason := verdict.Reason
	if verdict.Kind == failure.KindTransient {
		reason = Exhausted
	}
	m.Metadata.Set(wmiddleware.ReasonForPoisonedKey, string(reason))
	m.Metadata.Set(wmiddleware.PoisonedTopicKey, s.Topic)
	m.Metadata.Set(wmiddleware.PoisonedHandlerKey, s.Handler)
	m.Metadata.Set(wmiddleware.PoisonedSubscriberKey, message.SubscriberNameFromCtx(m.Context()))
	m.Metadata.Set(transport.KeyError, cut(verdict.Error(), maxError))
	crashpoint.Burying(m)
	if err := s.DeadLetterer.DeadLetter(m.Context(), m); err != nil {
		return s.unsafe(m, fmt.Errorf("writing a dead letter: %w", err))
	}
	crashpoint.At(crashpoint.LetterPublished)
	setOutcome(m.Context(), DeadLettered)
	s.Logger.WarnContext(m.Context(), "dead letter",
		"reason", string(reason), "attempts", transport.Count(m, transport.KeyAttempts), "error", brief(verdict))
	return nil
}

// brief is the first line of an error, for the log.
func brief(err error) string {
	line, _, _ := strings.Cut(err.Error(), "\n")
	return cut(line, 300)
}

// cut returns at most n bytes of s as text that every database and broker can
// store: valid UTF-8 without NUL.
func cut(s string, n int) string {
	s = strings.ReplaceAll(strings.ToValidUTF8(s, "�"), "\x00", "�")
	if len(s) > n {
		for n > 0 && !utf8.RuneStart(s[n]) {
			n--
		}
		s = s[:n]
	}
	return s
}
