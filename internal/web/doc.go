// Package web is the HTTP face of the worker: the feed page for people, the
// JSON API for programs, and the probes and metrics for whoever operates it.
//
// The one thing to know: it only reads. Every route is a GET (and HEAD) over
// the read models, nothing here can change them, so a request may be repeated,
// cut off or cached by mistake without harm.
//
// Conventions of the API, the same on every route:
//
//   - Times are RFC 3339 in UTC. An absent id or time (author_id,
//     first_answer_id, last_answer_at) is null; text is never null.
//   - An empty parameter (?grade=) means the same as an absent one. A repeated
//     or unknown one is refused, because ?subjet=history would otherwise look
//     like an answer to the question that was meant. The pages pass over
//     unknown parameters: links gather them on their way through other sites.
//   - Errors are RFC 9457 application/problem+json, with the member
//     "parameter" when one parameter is to blame. Pages show the same words.
package web
