"""Sessions that nobody touches once they stand: their instances open and close all the time, at known instants."""

import random
import time
from contextlib import closing
from threading import Event

import psycopg2
from psycopg2.extensions import connection as Connection  # noqa: N812 - it is a class
from psycopg2.extras import execute_values

from tests.data import add_person, execute
from tests.faults.book import Book, instance_subject, person_subject
from tests.faults.checker import BOUND_SECONDS
from tests.faults.hours import columns
from tests.faults.server import until_it_answers
from tests.faults.truth import Window
from tests.scheduler.soon import session_here

SESSIONS = 16
GENERATION_SECONDS = 30.0
AHEAD_SECONDS = 12.0  # how long before its first edge a generation is written
FIRST_EDGE_SECONDS = 1.5
LENGTHS = (BOUND_SECONDS + 0.1, BOUND_SECONDS + 0.5, 3.0, 4.0)  # none may be over before it is due
GAPS = (0.0, 0.0, 0.3, 1.0)


def evening(chance: random.Random, begins: float, ends: float) -> list[Window]:
    """Draw a session's windows: some abut, some share their edge with other sessions, some are on odd milliseconds."""
    at = begins + (0.0 if chance.random() < 0.5 else round(chance.random(), 3))
    windows = []
    while (closes := round(at + chance.choice(LENGTHS), 3)) < ends:
        windows.append(Window(at, closes))
        at = round(closes + chance.choice(GAPS), 3)
    return windows


class Untouched:
    """Writes generation after generation, each in one transaction, a while before it begins."""

    def __init__(self, url: str, seed: int, book: Book, *, until: float) -> None:
        self._url = url
        self._chance = random.Random(seed)
        self._book = book
        self._until = until
        self.instances: dict[int, Window] = {}
        self.sessions: list[int] = []

    def run(self, stop: Event) -> None:
        begins = float(int(time.time() + FIRST_EDGE_SECONDS) + 1)
        while begins < self._until:
            if stop.wait(max(0.0, begins - AHEAD_SECONDS - time.time())):
                return
            self._write(begins, min(begins + GENERATION_SECONDS, self._until))
            begins += GENERATION_SECONDS

    def _write(self, begins: float, ends: float) -> None:
        evenings = [evening(self._chance, begins, ends) for _ in range(SESSIONS)]
        while True:
            try:
                with closing(until_it_answers(self._url)) as connection:
                    sent, written, sessions = time.time(), [], []
                    for windows in evenings:
                        sessions.append(session_here(connection, name="untouched"))
                        written += _write_evening(connection, sessions[-1], windows)
                    connection.commit()
                break
            except psycopg2.Error as error:
                self._book.failed(time.time(), error)
        acknowledged = time.time()
        for instance_id, person_id, window in written:
            self._book.wrote(instance_subject(instance_id), sent, acknowledged, window)
            self._book.wrote(person_subject(person_id, instance_id), sent, acknowledged, window)
            self._book.said(person_subject(person_id, instance_id), sent, acknowledged, yes=True)
            self.instances[instance_id] = window
        self.sessions += sessions


def _write_evening(connection: Connection, session_id: int, windows: list[Window]) -> list[tuple[int, int, Window]]:
    """Write a session's instances, and somebody who says yes to all of them."""
    person_id = add_person(connection)
    with connection.cursor() as cursor:
        found = execute_values(
            cursor,
            "INSERT INTO session_instance (session_id, date, start_time, end_time) VALUES %s "
            "RETURNING session_instance_id",
            [(session_id, *columns(window).values()) for window in windows],
            page_size=len(windows),
            fetch=True,
        )
    ids = [int(row[0]) for row in found]
    execute(
        connection,
        "INSERT INTO session_instance_person (session_instance_id, person_id, attendance) SELECT unnest(%s), %s, 'yes'",
        ids,
        person_id,
    )
    return [(instance_id, person_id, window) for instance_id, window in zip(ids, windows, strict=True)]
