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

// maxError is how much of an error's text a letter keeps, in bytes.
const maxError = 4 << 10

// DeadLetter puts a message that failed for good into the letter box, with
// Watermill's poison keys and the error in its metadata. It takes the place
// of Watermill's PoisonQueue, which would publish and not move the message,
// and poisons what was merely interrupted.
func DeadLetter(s Settings) message.HandlerMiddleware {
	return func(next message.HandlerFunc) message.HandlerFunc {
		return func(m *message.Message) ([]*message.Message, error) {
			out, err := next(m)
			if err == nil {
				return out, nil
			}
			return nil, s.bury(m, err)
		}
	}
}

// bury returns nil for a message that is in the letter box.
func (s *Settings) bury(m *message.Message, err error) error {
	var verdict *failure.Verdict
	if !errors.As(err, &verdict) {
		return err // not to be settled
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
	if err := s.LetterBox.DeadLetter(m.Context(), m); err != nil {
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

// cut makes of s text of at most n bytes that any database and broker keeps:
// valid UTF-8, no NUL.
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
