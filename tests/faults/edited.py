"""Sessions that are edited all the time, each by one writer, who knows what the truth is after every edit."""

import random
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, replace
from threading import Event

import psycopg2
from psycopg2.extensions import connection as Connection  # noqa: N812 - it is a class
from sqlalchemy.exc import DBAPIError

from core.active_session_manager import instance_saved
from core.settings import Settings
from tests.data import add_instance, add_person, execute
from tests.faults import hours
from tests.faults.book import Book, instance_subject, person_subject
from tests.faults.server import until_it_answers
from tests.faults.truth import Window
from tests.scheduler.soon import session_here

SETTINGS = Settings()


@dataclass(frozen=True, slots=True)
class State:
    """What stands: the instance, if there is one, when it is, whether it is cancelled, and what the person said."""

    instance_id: int | None = None
    window: Window | None = None
    cancelled: bool = False
    said_yes: bool = False

    @property
    def on(self) -> Window | None:
        return None if self.cancelled else self.window

    @property
    def there(self) -> Window | None:
        return self.on if self.said_yes else None


class Writer:
    """Edits one session, one instance of it at a time."""

    def __init__(self, url: str, seed: int, book: Book) -> None:
        self._url = url
        self._chance = random.Random(seed)
        self._book = book
        self._state = State()
        self._connection: Connection | None = until_it_answers(url)
        self._session = session_here(self._connection, name="edited")
        self._person = add_person(self._connection)
        self._connection.commit()

    def run(self, stop: Event) -> None:
        while not stop.wait(self._chance.uniform(0.03, 0.6)):
            sent, db = time.time(), self._open()
            try:
                state = self._edit(db)
            except (psycopg2.Error, DBAPIError) as error:  # the second from a hook
                self._book.failed(time.time(), error)
                db.close()
                self._connection = None
                state = self._read_back()
            self._note(sent, time.time(), state)
        if self._connection:
            self._connection.close()

    def _open(self) -> Connection:
        if self._connection is None:
            self._connection = until_it_answers(self._url)
        return self._connection

    def _edit(self, db: Connection) -> State:
        state = self._chance.choice(EDITS)(self, db) if self._state.instance_id else self._insert(db)
        if state.instance_id and self._chance.random() < 0.3:
            instance_saved(db, state.instance_id)
        if self._chance.random() < 0.1:
            time.sleep(self._chance.uniform(0.1, 1.0))  # the app takes its time, and holds its rows meanwhile
        db.commit()
        return state

    def _draw(self) -> Window:
        opens = time.time() + self._chance.uniform(-1.5, 1.5)
        return Window(round(opens, 3), round(opens + self._chance.uniform(0.3, 4), 3))

    def _insert(self, db: Connection) -> State:
        window = self._draw()
        day, start, end = hours.columns(window).values()
        return State(add_instance(db, self._session, f"{day}", f"{start}", f"{end}"), window)

    def _delete(self, db: Connection) -> State:
        execute(db, "DELETE FROM session_instance WHERE session_instance_id = %s", self._state.instance_id)
        return State()

    def _move(self, db: Connection) -> State:
        window = self._draw()
        self._set(db, "date = %s, start_time = %s, end_time = %s", *hours.columns(window).values())
        return replace(self._state, window=window)

    def _cancel_or_restore(self, db: Connection) -> State:
        cancelled = not self._state.cancelled
        self._set(db, "is_cancelled = %s", cancelled)
        return replace(self._state, cancelled=cancelled)

    def _comment(self, db: Connection) -> State:
        self._set(db, "comments = %s", f"{self._chance.random()}")
        return self._state

    def _say(self, db: Connection) -> State:
        yes = not self._state.said_yes
        execute(
            db,
            "INSERT INTO session_instance_person (session_instance_id, person_id, attendance) VALUES (%s, %s, %s) "
            "ON CONFLICT (session_instance_id, person_id) DO UPDATE SET attendance = excluded.attendance",
            self._state.instance_id,
            self._person,
            "yes" if yes else "no",
        )
        return replace(self._state, said_yes=yes)

    def _set(self, db: Connection, columns: str, *values: object) -> None:
        statement = f"UPDATE session_instance SET {columns} WHERE session_instance_id = %s"
        execute(db, statement, *values, self._state.instance_id)

    def _read_back(self) -> State:
        """Ask what stands, when it is not known whether the last edit was committed."""
        while True:
            try:
                with closing(until_it_answers(self._url)) as db:
                    rows = execute(db, READ_BACK, self._person, self._session)
                break
            except psycopg2.Error as error:
                self._book.failed(time.time(), error)
        if not rows:
            return State()
        [(instance_id, day, start, end, cancelled, said)] = rows
        return State(instance_id, hours.window(day, start, end), bool(cancelled), said == "yes")

    def _note(self, sent: float, acknowledged: float, state: State) -> None:
        before, self._state = self._state, state
        self._book.count_edits()
        if before.instance_id and before.instance_id != state.instance_id:
            self._write(before.instance_id, sent, acknowledged, State())
        if state.instance_id and before != state:
            self._write(state.instance_id, sent, acknowledged, state)

    def _write(self, instance_id: int, sent: float, acknowledged: float, state: State) -> None:
        self._book.wrote(instance_subject(instance_id), sent, acknowledged, state.on)
        self._book.wrote(person_subject(self._person, instance_id), sent, acknowledged, state.there)
        self._book.said(person_subject(self._person, instance_id), sent, acknowledged, yes=state.said_yes)


EDITS: tuple[Callable[[Writer, Connection], State], ...] = (
    Writer._move,
    Writer._move,
    Writer._move,
    Writer._cancel_or_restore,
    Writer._cancel_or_restore,
    Writer._say,
    Writer._say,
    Writer._comment,
    Writer._delete,
)

READ_BACK = """
    SELECT i.session_instance_id, date, start_time, end_time, is_cancelled, attendance
    FROM session_instance i LEFT JOIN session_instance_person said
    ON said.session_instance_id = i.session_instance_id AND said.person_id = %s
    WHERE i.session_id = %s
"""
