// Package alert tells people of dead letters: of the first letter of each
// problem, and when a problem suddenly has many. It tells by a webhook, for
// whoever has no Prometheus to do so.
//
// The one thing to know: what is told is problems, never messages. However
// many letters there are, one request at most is sent each [Config.Every],
// and of several workers one sends.
package alert
