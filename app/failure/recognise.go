package failure

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"database/sql"
	"database/sql/driver"
	"errors"
	"io"
	"net"
	"net/url"
	"syscall"
)

// recognise tells what drivers and the network report by type, never by text.
// An error is transient when the same message may well succeed once the world
// around it is put right, permanent when it cannot, and unknown when it might
// be either, which only the handler knows.
//
// context.Canceled is unknown: the worker's own stop never comes this far, so
// it was the handler that cancelled.
func recognise(err error) (Kind, Reason) {
	// What package database calls its own trouble.
	var trouble interface{ Outage() bool }
	if errors.As(err, &trouble) && trouble.Outage() {
		return KindTransient, Database
	}
	// A deadline outweighs what it interrupted.
	if errors.Is(err, context.DeadlineExceeded) {
		return KindTransient, Timeout
	}
	for _, recognise := range []func(error) (Kind, Reason, bool){sqlite, sqlState, amqp, sqlPackage, osResources, transportSecurity, network} {
		if kind, reason, known := recognise(err); known {
			return kind, reason
		}
	}
	return KindUnknown, Unknown
}

// sqlPackage knows the errors of database/sql, and drivers that say of an
// error that nothing had been sent, as pgx does.
func sqlPackage(err error) (Kind, Reason, bool) {
	var safe interface{ SafeToRetry() bool }
	if errors.Is(err, sql.ErrConnDone) || errors.Is(err, driver.ErrBadConn) || (errors.As(err, &safe) && safe.SafeToRetry()) {
		return KindTransient, Database, true
	}
	return 0, "", false
}

// osResources knows what the operating system has run out of.
func osResources(err error) (Kind, Reason, bool) {
	for _, e := range []error{syscall.ENOMEM, syscall.ENOSPC, syscall.EDQUOT, syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.EAGAIN, syscall.EIO} {
		if errors.Is(err, e) {
			return KindTransient, Resources, true
		}
	}
	return 0, "", false
}

// transportSecurity knows TLS. A certificate that has expired, or is not valid
// yet, is being renewed by somebody; one that is not trusted, or for another
// name, is a setting or an address that no waiting will mend.
func transportSecurity(err error) (Kind, Reason, bool) {
	var invalid x509.CertificateInvalidError
	if errors.As(err, &invalid) && invalid.Reason == x509.Expired {
		return KindTransient, Network, true
	}
	var verification *tls.CertificateVerificationError
	if errors.As(err, &verification) {
		return KindUnknown, Unknown, true
	}
	var alert tls.AlertError
	if errors.As(err, &alert) {
		switch alert {
		case alertCloseNotify, alertInternalError, alertUserCanceled:
			return KindTransient, Network, true
		}
		return KindUnknown, Unknown, true // the peer refuses us: certificate, version or cipher
	}
	return 0, "", false
}

// Alerts by which a peer says that it, and not what we sent, is the trouble.
// Source: RFC 8446, section 6.
const (
	alertCloseNotify   tls.AlertError = 0
	alertInternalError tls.AlertError = 80
	alertUserCanceled  tls.AlertError = 90
)

// network knows connections that fail, names that cannot be looked up for now,
// and whatever reports a timeout. A name that does not exist is unknown: it may
// be in the message.
func network(err error) (Kind, Reason, bool) {
	for _, e := range []error{
		syscall.ECONNREFUSED, syscall.ECONNRESET, syscall.ECONNABORTED, syscall.EPIPE, syscall.ENOTCONN,
		syscall.EHOSTUNREACH, syscall.EHOSTDOWN, syscall.ENETUNREACH, syscall.ENETDOWN, syscall.ENETRESET, syscall.ETIMEDOUT,
		syscall.EADDRNOTAVAIL, net.ErrClosed, io.ErrUnexpectedEOF,
	} {
		if errors.Is(err, e) {
			return KindTransient, Network, true
		}
	}
	var dns *net.DNSError
	if errors.As(err, &dns) {
		if dns.IsNotFound && !dns.IsTemporary {
			return KindUnknown, Unknown, true
		}
		return KindTransient, Network, true
	}
	var timeout net.Error
	if errors.As(err, &timeout) && timeout.Timeout() {
		return KindTransient, Timeout, true
	}
	// net/http's way to say that the connection ended before the answer. By
	// itself, io.EOF is the end of anything.
	var request *url.Error
	if errors.As(err, &request) && errors.Is(request.Err, io.EOF) {
		return KindTransient, Network, true
	}
	return 0, "", false
}
