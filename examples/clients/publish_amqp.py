#!/usr/bin/env python3
"""Publish events to answerfeed over AMQP 0-9-1, with nothing but Python 3.

    publish_amqp.py answer-added < events.ndjson

Each line of standard input is one event, a JSON object. Exit status 0 means
that the broker has every one of them safe: each was confirmed, and none came
back for want of a queue. After a failure publish the file again: an event that
comes twice takes effect once.

A program of some size will take a library, such as pika. This one shows how
little is needed, and what: the exchange has the topic's name, the routing key
is empty, the body is the event, and no header is required; persistent,
mandatory, and with confirmations.
"""

import argparse
import json
import os
import socket
import ssl
import struct
import sys
from urllib.parse import unquote, urlsplit

METHOD, HEADER, BODY = 1, 2, 3  # kinds of frames

# Methods, by class and number.
START, START_OK, TUNE, TUNE_OK = (10, 10), (10, 11), (10, 30), (10, 31)
OPEN, OPEN_OK, CLOSE, CLOSE_OK = (10, 40), (10, 41), (10, 50), (10, 51)
CHANNEL_OPEN, CHANNEL_OPEN_OK, CHANNEL_CLOSE = (20, 10), (20, 11), (20, 40)
BASIC_PUBLISH, BASIC_RETURN, BASIC_ACK = (60, 40), (60, 50), (60, 80)
CONFIRM_SELECT, CONFIRM_SELECT_OK = (85, 10), (85, 11)

MANDATORY = b"\x01"  # a bit of basic.publish: give back what no queue takes

# The properties of each message: content type and delivery mode (2 is
# persistent), which are bits 15 and 12 of the flags.
PROPERTIES = b"\x90\x00" + b"\x10application/json" + b"\x02"


class AMQPError(Exception):
    """The broker refused something."""


def short(text):
    data = text.encode()
    return struct.pack(">B", len(data)) + data


def long(data):
    return struct.pack(">I", len(data)) + data


def frame(kind, channel, payload):
    return struct.pack(">BHI", kind, channel, len(payload)) + payload + b"\xce"


def method(channel, name, arguments):
    return frame(METHOD, channel, struct.pack(">HH", *name) + arguments)


class Publisher:
    """One connection with one channel, for one thread."""

    def __init__(self, url, timeout=10, window=1000):
        """`window` is how many messages may be unconfirmed at a time."""
        self.window, self.published, self.unconfirmed = window, 0, set()
        url = urlsplit(url)
        secure = url.scheme == "amqps"
        self.socket = socket.create_connection((url.hostname, url.port or (5671 if secure else 5672)), timeout)
        if secure:
            self.socket = ssl.create_default_context().wrap_socket(self.socket, server_hostname=url.hostname)
        self.input = self.socket.makefile("rb")

        self.socket.sendall(b"AMQP\x00\x00\x09\x01")
        self.expect(START)
        login = "\0%s\0%s" % (unquote(url.username or "guest"), unquote(url.password or "guest"))
        self.send(method(0, START_OK, long(b"") + short("PLAIN") + long(login.encode()) + short("en_US")))
        _, frame_max, _ = struct.unpack(">HIH", self.expect(TUNE))
        frame_max = frame_max or 131072
        self.body_max = frame_max - 8
        self.send(method(0, TUNE_OK, struct.pack(">HIH", 1, frame_max, 0)))  # one channel, no heartbeat
        self.send(method(0, OPEN, short(unquote(url.path[1:]) or "/") + short("") + b"\0"))
        self.expect(OPEN_OK)
        self.send(method(1, CHANNEL_OPEN, short("")))
        self.expect(CHANNEL_OPEN_OK)
        self.send(method(1, CONFIRM_SELECT, b"\0"))
        self.expect(CONFIRM_SELECT_OK)

    def publish(self, exchange, body):
        """Sends a message. It is safe when flush has returned."""
        data = method(1, BASIC_PUBLISH, b"\0\0" + short(exchange) + short("") + MANDATORY)
        data += frame(HEADER, 1, struct.pack(">HHQ", 60, 0, len(body)) + PROPERTIES)
        for i in range(0, len(body), self.body_max):
            data += frame(BODY, 1, body[i : i + self.body_max])
        self.send(data)
        self.published += 1
        self.unconfirmed.add(self.published)
        self.flush(self.window)

    def flush(self, rest=0):
        """Waits until `rest` messages at most are unconfirmed."""
        while len(self.unconfirmed) > rest:
            name, arguments = self.read_method()
            if name == BASIC_RETURN:
                raise AMQPError("no queue takes the message: was `worker migrate` run?")
            if name != BASIC_ACK:
                raise AMQPError("the broker did not keep a message")
            tag, multiple = struct.unpack(">QB", arguments)
            self.unconfirmed -= {n for n in self.unconfirmed if n <= tag} if multiple else {tag}

    def close(self):
        self.send(method(0, CLOSE, struct.pack(">H", 200) + short("bye") + struct.pack(">HH", 0, 0)))
        self.expect(CLOSE_OK)
        self.socket.close()

    def send(self, data):
        self.socket.sendall(data)

    def expect(self, want):
        name, arguments = self.read_method()
        if name != want:
            raise AMQPError("method %d.%d came where %d.%d was expected" % (name + want))
        return arguments

    def read_method(self):
        """Reads the next method; the content of returned messages is passed over."""
        while True:
            kind, _, size = struct.unpack(">BHI", self.read(7))
            payload = self.read(size + 1)[:-1]
            if kind != METHOD:
                continue
            name, arguments = struct.unpack(">HH", payload[:4]), payload[4:]
            if name in (CLOSE, CHANNEL_CLOSE):
                code, length = struct.unpack(">HB", arguments[:3])
                raise AMQPError("%d %s" % (code, arguments[3 : 3 + length].decode()))
            return name, arguments

    def read(self, n):
        data = self.input.read(n)
        if len(data) < n:
            raise AMQPError("the broker hung up; were user and password right?")
        return data


def is_object(line):
    try:
        return isinstance(json.loads(line), dict)
    except ValueError:
        return False


def main():
    parser = argparse.ArgumentParser(description="Publish events, one JSON object a line of standard input.")
    parser.add_argument("topic", help="question-added, answer-added or answer-removed, with transport.prefix before it")
    parser.add_argument("--url", default=os.environ.get("AMQP_URL", "amqp://guest:guest@127.0.0.1:5672/"),
                        help="of the broker; default: $AMQP_URL, else the local one")
    options = parser.parse_args()
    try:
        publisher = Publisher(options.url)
        for number, line in enumerate(sys.stdin.buffer, 1):
            if not line.strip():
                continue
            if not is_object(line):
                raise ValueError("line %d is no JSON object" % number)
            publisher.publish(options.topic, line.strip())
        publisher.flush()
        publisher.close()
    except (AMQPError, OSError, ValueError) as problem:
        sys.exit("not everything was published: %s" % problem)
    print("published %d, all confirmed" % publisher.published, file=sys.stderr)


if __name__ == "__main__":
    main()
