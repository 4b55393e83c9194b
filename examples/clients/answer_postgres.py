#!/usr/bin/env python3
"""A site in Python: it stores answers in a table of its own in PostgreSQL, and
publishes each one's event in the same transaction.

    answer_postgres.py --dsn postgres://… < answers.ndjson

Each line of standard input is an answer, {"question_id": …, "author_id": …,
"text": …}; the id of each that is stored is printed. An answer and its event
are there together or not at all: what is refused, or killed on the way, leaves
neither. Whoever runs `worker run` or `worker relay` on this database sends the
events to where the consumers are.

It needs psycopg or psycopg2, and nothing of answerfeed but its function
answerfeed_publish, which `worker migrate` makes.
"""

import argparse
import json
import os
import sys
import uuid
from datetime import datetime, timezone

try:
    import psycopg
except ImportError:
    import psycopg2 as psycopg

TABLE = """CREATE TABLE IF NOT EXISTS python_answers (
    answer_id text PRIMARY KEY, question_id text NOT NULL, author_id text NOT NULL, body text NOT NULL)"""


def answer(db, question_id, author_id, text):
    """Stores an answer with its event, in one transaction, and returns its id."""
    answer_id = str(uuid.uuid4())
    event = {
        "answer_id": answer_id,
        "question_id": question_id,
        "author_id": author_id,
        "excerpt": text[:1000],
        "occurred_at": datetime.now(timezone.utc).isoformat(),
        "event_id": "python-" + answer_id,  # what is sent twice is one event
    }
    try:
        with db.cursor() as cursor:
            cursor.execute("INSERT INTO python_answers VALUES (%s, %s, %s, %s)", (answer_id, question_id, author_id, text))
            cursor.execute("SELECT answerfeed_publish(%s, %s)", ("answer-added", json.dumps(event)))
        db.commit()
    except BaseException:
        db.rollback()
        raise
    return answer_id


def main():
    parser = argparse.ArgumentParser(description="Answer, one JSON object a line of standard input.")
    parser.add_argument("--dsn", default=os.environ.get("DATABASE_URL"), help="of the worker's database; default: $DATABASE_URL")
    options = parser.parse_args()
    if not options.dsn:
        parser.error("give it --dsn, or set DATABASE_URL")
    refused = 0
    db = psycopg.connect(options.dsn)
    try:
        with db.cursor() as cursor:
            cursor.execute(TABLE)
        db.commit()
        for number, line in enumerate(sys.stdin, 1):
            try:
                given = json.loads(line)
                question_id, author_id, text = (str(given[key]) for key in ("question_id", "author_id", "text"))
            except (ValueError, KeyError, TypeError):
                print("line %d is no object with question_id, author_id and text" % number, file=sys.stderr)
                refused += 1
                continue
            try:
                print(answer(db, question_id, author_id, text), flush=True)
            except (psycopg.DataError, ValueError) as problem:
                print("line %d was refused: %s" % (number, str(problem).splitlines()[0]), file=sys.stderr)
                refused += 1
    finally:
        db.close()
    sys.exit(1 if refused else 0)


if __name__ == "__main__":
    try:
        main()
    except psycopg.Error as problem:
        sys.exit("it failed: %s" % problem)
