"""One session: its recurrence in plain words, and its dates."""

from collections.abc import Collection, Mapping
from datetime import datetime
from hashlib import sha256
from typing import NoReturn

from flask import abort, redirect, render_template, request, url_for
from sqlalchemy import Connection
from werkzeug.wrappers import Response

from core.active_session_manager import ensure_instance
from core.db.transaction_settings import clock
from core.errors import NoSuchOccurrence
from core.hooks import ATTENDANCES
from core.store.views import pages
from web import calendar, dates, words
from web.host import notice, require_person, require_session, transaction, viewer
from web.instances import record, told

MOST_DATES = 10


def page(session_id: int) -> str:
    """Show a session, and what the viewer has said about its dates."""
    with transaction() as connection:
        session = require_session(connection, session_id)
        upcoming = dates.upcoming(connection, session, clock(connection), MOST_DATES)
        existing = [date.instance.session_instance_id for date in upcoming if date.instance]
        person_id = viewer().person_id
        said = pages.said_of(connection, existing, person_id) if person_id else {}
    recurrence = dates.recurrence_of(session)
    return render_template(
        "seisiun/session.html",
        session=session,
        feed=calendar.links(url_for(".calendar", session_id=session_id)),
        pattern=words.pattern(recurrence) if recurrence else None,
        upcoming=upcoming,
        said=said,
    )


def versions(connection: Connection, session_ids: Collection[int], now: datetime) -> dict[int, str]:
    """Return a version of the rows that the pages of each session show: session id -> version."""
    if not session_ids:
        return {}
    rows: dict[int, list[object]] = {row.session_id: [row] for row in pages.sessions_of(connection, session_ids)}
    today = now.date()
    for instance in pages.instances_between(connection, session_ids, today - dates.FARTHEST_ZONE, today + dates.AHEAD):
        rows.setdefault(instance.session_id, []).append(instance)
    for session_id, instance_id in pages.on_now(connection, session_ids).items():  # perhaps on another day by now
        rows.setdefault(session_id, []).append(instance_id)
    return {session_id: sha256(repr(rows.get(session_id)).encode()).hexdigest() for session_id in session_ids}


def say_early(session_id: int) -> Response:
    """Make the row of a date that has none yet (P1), and record what the viewer says."""
    person = require_person()
    attendance = request.form.get("attendance", "")
    if attendance not in ATTENDANCES:
        abort(400, "Say yes, maybe or no.")
    with transaction() as connection:
        instance_id = made_early(connection, session_id, local_start(request.form))
        if said := record(connection, person.person_id, instance_id, attendance):
            notice(told(attendance, said))
    return redirect(url_for(".instance", session_instance_id=instance_id), 303)


def made_early(connection: Connection, session_id: int, start: datetime) -> int:
    """Return the row of a date, and make it if there is none; lead to the session if it has no such date by now."""
    require_session(connection, session_id)
    try:
        return ensure_instance(connection, session_id, start)
    except NoSuchOccurrence:
        _refuse_gone(session_id, start)


def require_date(connection: Connection, session_id: int, start: datetime) -> dates.Date:
    """Return the date whose occurrence starts then; lead to the session if it has no such date by now."""
    return dates.starting(connection, require_session(connection, session_id), start) or _refuse_gone(session_id, start)


def _refuse_gone(session_id: int, start: datetime) -> NoReturn:
    """Lead from a date that its session does not have by now to those that it has."""
    when = f"{words.day_and_year(start.date())} at {words.clock(start)}"
    notice(f"The session has no date on {when}: its times may have changed. Choose one of its dates.")
    abort(redirect(url_for(".session", session_id=session_id), 303))


def local_start(fields: Mapping[str, str]) -> datetime:
    """Return the local start that a form or an address names; answer 400 if it is none."""
    text = fields.get("start", "")
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        abort(400, f"The start is {text[:40]!r}; give a local time such as 2026-11-26T19:00.")
