package app

import (
	"context"
	"log/slog"

	"github.com/answerfeed/answerfeed/app/event"
)

// LogHandler adds to each line about a message which one it is: handler,
// topic and correlation id.
func LogHandler(next slog.Handler) slog.Handler { return logHandler{next} }

type logHandler struct{ slog.Handler }

func (h logHandler) Handle(ctx context.Context, r slog.Record) error {
	if m := event.MessageOf(ctx); m != nil {
		r.AddAttrs(slog.String("handler", m.Handler), slog.String("topic", m.Topic), slog.String("correlation_id", m.CorrelationID))
	}
	return h.Handler.Handle(ctx, r)
}

func (h logHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return logHandler{h.Handler.WithAttrs(attrs)}
}

func (h logHandler) WithGroup(name string) slog.Handler { return logHandler{h.Handler.WithGroup(name)} }
