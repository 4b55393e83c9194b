package rabbit

import (
	"errors"
	"fmt"
	"regexp"

	amqp "github.com/rabbitmq/amqp091-go"
)

var inequivalent = regexp.MustCompile(`inequivalent arg '([^']+)' for (queue|exchange) '([^']+)'.*: (.*)$`)

// explainDeclare says what to do about a refusal.
func explainDeclare(err error) error {
	var e *amqp.Error
	if !errors.As(err, &e) {
		return err
	}
	switch e.Code {
	case amqp.PreconditionFailed:
		if m := inequivalent.FindStringSubmatch(e.Reason); m != nil {
			return fmt.Errorf("%s %s exists with another %s: %s; arguments cannot be changed: let it drain and delete it, or use another transport.prefix: %w", m[2], m[3], m[1], m[4], err)
		}
		return fmt.Errorf("it exists with other properties; let it drain and delete it, or use another transport.prefix: %w", err)
	case amqp.AccessRefused:
		return fmt.Errorf("the broker's user may not do this; it needs configure, write and read on the worker's names: %w", err)
	case amqp.InternalError:
		return fmt.Errorf("the broker failed, and its log says why; if it fails at every delay queue, the process for their messages has died, and the broker must be started again: %w", err)
	}
	return err
}

// explainDial says what to do about a refused connection. Nothing of the URL
// is in it.
func explainDial(err error) error {
	if errors.Is(err, amqp.ErrCredentials) || errors.Is(err, amqp.ErrSASL) {
		return fmt.Errorf("the broker refuses user and password: %w", err)
	}
	if errors.Is(err, amqp.ErrVhost) || code(err) == amqp.NotAllowed {
		return fmt.Errorf("the broker refuses the virtual host: %w", err)
	}
	return err
}

// Cut reports that a connection to the broker ended in the middle of a
// request: the broker died or was stopped, or something between did it.
func Cut(err error) bool {
	switch code(err) {
	case amqp.ConnectionForced, amqp.FrameError, amqp.ErrClosed.Code:
		return true
	}
	return errors.Is(err, errBroke)
}
