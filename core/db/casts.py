"""How we read values, on our own connections and on those of an app.

PostgreSQL's dates go from 4713 BC to the year 5874897, and to infinity. Python's go from year 1 to 9999, and close to
these ends a buffer or a time zone overflows. We read a date before `FIRST` or after `LAST` as that bound: it lies so
far from now that the difference changes no decision. PostgreSQL's times go up to 24:00; the standard cast reads it as
0:00, and ours as `END_OF_DAY`.

An app may register casts of its own, for its connection or for the process: dates as text, or numbers as Decimal.
psycopg2 asks a cursor's own casts first. So our cursors carry the standard ones.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, time
from typing import Any, TypeVar

from psycopg2 import extensions
from psycopg2.extensions import connection as Psycopg2Connection  # noqa: N812 -- it is a class
from psycopg2.extensions import cursor as Cursor  # noqa: N812 -- it is a class

from core.recurrence.schedules import END_OF_DAY

FIRST, LAST = datetime.fromisoformat("0010-01-01"), datetime.fromisoformat("9990-12-31")

AnyDate = TypeVar("AnyDate", date, datetime)


def _bounded(standard: Any, first: AnyDate, last: AnyDate) -> Any:
    """Return a cast as the standard one, for the same types, that returns a bound for what lies beyond it."""

    def read(text: Any, cursor: Cursor) -> AnyDate | None:
        if text is None:
            return None
        try:
            found: AnyDate = standard(text, cursor)
        except ValueError:  # Python has no such year
            return first if text.endswith("BC") else last
        if first.year <= found.year < last.year:
            return found
        return min(max(found, first), last)

    return extensions.new_type(standard.values, f"BOUNDED_{standard.name}", read)


def _time(text: Any, cursor: Cursor) -> time | None:
    if text is not None and text.startswith("24:"):  # PostgreSQL accepts 24:00:00 and nothing later
        return END_OF_DAY
    found: time | None = extensions.PYTIME(text, cursor)
    return found


CASTS = (
    extensions.BOOLEAN,
    extensions.INTEGER,
    extensions.LONGINTEGER,
    extensions.FLOAT,
    extensions.DECIMAL,
    extensions.UNICODE,
    extensions.new_type(extensions.PYTIME.values, "TIME_UNTIL_24", _time),
    extensions.PYINTERVAL,
    _bounded(extensions.PYDATE, FIRST.date(), LAST.date()),
    _bounded(extensions.PYDATETIME, FIRST, LAST),
    _bounded(extensions.PYDATETIMETZ, FIRST.replace(tzinfo=UTC), LAST.replace(tzinfo=UTC)),
)


def register_casts(owner: Psycopg2Connection | Cursor) -> None:
    """Let a connection of ours, or a cursor, read values as we do."""
    for each in CASTS:
        extensions.register_type(each, owner)


class _OurCursor(Cursor):
    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        register_casts(self)


def our_cursor(raw: Psycopg2Connection) -> Cursor:
    """Return a cursor with our casts that returns tuples, whatever cursors the app has chosen for the connection."""
    if issubclass(type(raw), Psycopg2Connection):  # past a method `cursor` of the app's own class
        return Psycopg2Connection.cursor(raw, cursor_factory=_OurCursor)
    return raw.cursor(cursor_factory=_OurCursor)  # a wrapper around a connection: a pool's, or a tracer's


@contextmanager
def our_casts(raw: Psycopg2Connection) -> Iterator[None]:
    """Let the connection make cursors with our casts, which return tuples, in the block; afterwards its own again."""
    factory, raw.cursor_factory = raw.cursor_factory, _OurCursor
    try:
        yield
    finally:
        raw.cursor_factory = factory
