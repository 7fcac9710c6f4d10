"""Organisers see who came: the evenings of the last year, how many said yes to each, and all of it as a table."""

import csv
import io
import re
from collections.abc import Iterator
from datetime import timedelta

from flask import Response, render_template
from sqlalchemy import Connection

from core.db.transaction_settings import clock
from core.store import evenings
from core.store.presence import check_ins
from core.store.views.pages import SessionRow
from web import dates
from web.dates import Date
from web.host import require_organiser, require_session, transaction

DAYS_BACK = 365
COLUMNS = ("Date", "From", "Until", "First name", "Last name", "Town", "Comment")
_NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9._-]+")
_BEGINS_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def page(session_id: int) -> str:
    """Show the evenings of the last year, the latest first, and how many people said yes to each."""
    require_organiser(session_id)
    with transaction() as connection:
        session = require_session(connection, session_id)
        found = _past(connection, session)
        yeses = check_ins.count_yeses(connection, [_row(date) for date in found])
    return render_template("seisiun/past.html", session=session, dates=found, row=_row, yeses=yeses)


def table(session_id: int) -> Response:
    """Return who said yes to each evening of the last year, as CSV; without ids and addresses."""
    require_organiser(session_id)
    with transaction() as connection:
        session = require_session(connection, session_id)
        by_row = {_row(date): date for date in _past(connection, session)}
        people = evenings.who_said_yes(connection, [*by_row])
    written = io.StringIO()
    writer = csv.writer(written)
    writer.writerow(COLUMNS)
    for person in sorted(people, key=lambda person: by_row[person.session_instance_id].sorts_by):
        names = (person.first_name, person.last_name, person.city, person.comment)
        writer.writerow(map(_cell, (*_when(by_row[person.session_instance_id]), *names)))
    name = _NOT_IN_NAMES.sub("-", session.path or "").strip("-.") or session_id
    headers = {"Content-Disposition": f'attachment; filename="who-came-{name}.csv"'}
    # With the mark at its beginning, Excel reads the names as UTF-8.
    return Response("\ufeff" + written.getvalue(), headers=headers, content_type="text/csv; charset=utf-8")


def _past(connection: Connection, session: SessionRow) -> list[Date]:
    """Return the evenings of the last year that took place, the latest first."""
    now = clock(connection)
    today = dates.today(session, now)
    found = dates.between(connection, session, today - timedelta(days=DAYS_BACK), today)
    return [date for date in reversed(found) if date.instance and not date.is_off and dates.is_over(date, session, now)]


def _row(date: Date) -> int:
    assert date.instance
    return date.instance.session_instance_id


def _when(date: Date) -> Iterator[str]:
    hours = date.hours
    yield str(date.day)
    yield f"{hours.start:%H:%M}" if hours else ""
    yield f"{hours.end:%H:%M}" if hours and hours.states_end else ""


def _cell(text: str | None) -> str:
    """Return a text that a spreadsheet shows and does not run: one that begins a formula gets an apostrophe."""
    text = text or ""
    return f"'{text}" if text.startswith(_BEGINS_FORMULA) else text
