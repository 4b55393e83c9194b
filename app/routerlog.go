package app

import (
	"context"
	"log/slog"
	"strings"

	"github.com/ThreeDotsLabs/watermill"
)

// routerLog is the news of Watermill's router, for debugging, since parts log
// what matters themselves. Watermill's own adapter makes arguments of every
// field, for each message twice, before it asks whether anybody listens.
//
// What it calls an error is a nack, which is logged where it is decided, or a
// panic of a middleware, of which nobody else knows.
type routerLog struct{ logger *slog.Logger }

var _ watermill.LoggerAdapter = routerLog{}

func (l routerLog) Error(msg string, err error, fields watermill.LogFields) {
	level := slog.LevelDebug
	if strings.HasPrefix(msg, "Panic") {
		level = slog.LevelError
	}
	l.log(level, msg, fields.Add(watermill.LogFields{"error": err}))
}

func (l routerLog) Info(msg string, fields watermill.LogFields)  { l.log(slog.LevelDebug, msg, fields) }
func (l routerLog) Debug(msg string, fields watermill.LogFields) { l.log(slog.LevelDebug, msg, fields) }
func (l routerLog) Trace(string, watermill.LogFields)            {}

func (l routerLog) With(fields watermill.LogFields) watermill.LoggerAdapter {
	return routerLog{l.logger.With(args(fields)...)}
}

func (l routerLog) log(level slog.Level, msg string, fields watermill.LogFields) {
	if l.logger.Enabled(context.Background(), level) {
		l.logger.Log(context.Background(), level, msg, args(fields)...) //nolint:sloglint // the router has a few constant ones
	}
}

func args(fields watermill.LogFields) []any {
	list := make([]any, 0, 2*len(fields))
	for key, value := range fields {
		list = append(list, key, value)
	}
	return list
}
