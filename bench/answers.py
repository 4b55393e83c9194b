"""The effect that all peers of the benchmark have, as a Celery task.

A row upserted and a counter raised, in one transaction of psycopg2's, on a
connection that each process keeps. What was not committed is delivered again.
"""

import os
from datetime import datetime

import psycopg2
from celery import Celery
from celery.signals import worker_process_init

app = Celery("answers", broker=os.environ["BENCH_BROKER"])
app.conf.update(
    task_acks_late=True,
    task_default_queue=os.environ["BENCH_QUEUE"],
    task_ignore_result=True,
    worker_enable_remote_control=False,
    worker_prefetch_multiplier=16,
)
connection = None


@worker_process_init.connect
def connect(**_):
    global connection
    connection = psycopg2.connect(os.environ["BENCH_DSN"])


@app.task(name="answers.added")
def added(answer):
    if not (answer["answer_id"] and answer["question_id"]):
        raise ValueError("an answer without an id")
    moment = datetime.fromisoformat(answer["occurred_at"].replace("Z", "+00:00"))
    with connection, connection.cursor() as cursor:
        cursor.execute(
            """INSERT INTO bench_answers (answer_id, question_id, author_id, excerpt, answered_at)
            VALUES (%s, %s, %s, %s, %s)
            ON CONFLICT (answer_id) DO UPDATE SET question_id = excluded.question_id, author_id = excluded.author_id,
            excerpt = excluded.excerpt, answered_at = excluded.answered_at""",
            (answer["answer_id"], answer["question_id"], answer["author_id"], answer["excerpt"],
             int(moment.timestamp() * 1_000_000)))
        cursor.execute(
            """INSERT INTO bench_questions (question_id, answers) VALUES (%s, 1)
            ON CONFLICT (question_id) DO UPDATE SET answers = bench_questions.answers + 1""",
            (answer["question_id"],))
