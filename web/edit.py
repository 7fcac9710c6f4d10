"""Organisers edit a session: the page checks the form, shows the dates that it means, and only then saves it.

When the page comes back after saving, the instance that should be on is on.
"""

from collections.abc import Mapping
from dataclasses import replace
from datetime import date

from flask import redirect, render_template, request, url_for
from sqlalchemy import Connection
from werkzeug.wrappers import Response

from core.active_session_manager import LeftBehind, ReconcileResult, session_saved
from core.db.transaction_settings import clock
from core.recurrence import Recurrence
from core.recurrence.json_text import LONGEST_WHY, MOST_BREAKS
from core.recurrence.schedules import WEEKDAYS
from core.store import sessions
from core.store.views.pages import SessionRow
from core.timezones import zone_names
from web import dates, forms, words
from web.forms import BreakRow, Fields, Row
from web.host import host, notice, require_organiser, require_session, transaction
from web.preview import Preview, listed, preview

MOST_WEEKS_OFFERED = 8

Answer = str | tuple[str, int] | Response


def page(session_id: int) -> Answer:
    """Show the form with the stored values of the session."""
    with transaction() as connection:
        session = require_session(connection, session_id)
        require_organiser(session_id)
    fields = forms.stored(session)
    errors = dict(forms.checked(fields).errors) if session.recurrence or session.timezone else {}
    return _form(session, fields, errors, stored=_stored_digest(session))


def save(session_id: int) -> Answer:
    """Add or remove a time or a break, show the dates that the form means, or save exactly what was shown."""
    with transaction() as connection:
        session = require_session(connection, session_id, for_update=True)
        require_organiser(session_id)
        fields = forms.submitted(request.form, forms.stored(session).text)
        pressed = request.form.get("do", "show")
        stored = request.form.get("stored", "")
        if changed := _other_rows(fields, pressed):
            return _form(session, changed, {} if changed.shape else {"rows": forms.WHICH_COUNTS}, stored=stored)
        checked = forms.checked(fields)
        if checked.errors:
            told, errors = _unsaved(pressed), dict(checked.errors)
            if asks := errors.get("initiation_date") == forms.NEEDS_FIRST_DATE:
                first = _first_date(connection, session, checked.recurrence)
                fields = replace(fields, initiation_date=str(first))
                told += f"One more question: which week? We chose {words.day(first)} as the first date."
                del errors["initiation_date"]
            return _form(session, fields, errors, stored=stored, told=told, asks=asks)
        if stored != _stored_digest(session):
            told = (
                _unsaved(pressed)
                + "Somebody else has saved this session since you opened it. Check the form, then save again."
            )
            return _form(session, fields, {}, stored=_stored_digest(session), told=told), 409
        saved = None
        if pressed == "save" and request.form.get("shown") == checked.digest:
            sessions.update_session(connection, session_id, checked.columns)
            saved = session_saved(connection, session_id)
    if saved is None:  # the row is not locked any more: two plans of a busy year may take a while
        shown = preview(host().engine, session_id, checked)
        return _form(session, fields, {}, stored=stored, shown=shown, unsaved=_unsaved(pressed))
    for text in _told(saved):
        notice(text)
    return redirect(url_for(".session", session_id=session_id), 303)


def _first_date(connection: Connection, session: SessionRow, wanted: Recurrence) -> date:
    """Return the first date of the wanted recurrence from the session's next date as it is stored, or from today."""
    now = clock(connection)
    ahead = dates.upcoming(connection, session, now, 1)
    day = ahead[0].day if ahead else dates.today(session, now)
    found = wanted.first_on_or_after(day, initiation_date=day)
    return found.start.date() if found else day


def _unsaved(pressed: str) -> str:
    """Return the words that a user who pressed *Save* must read where nothing is saved; else nothing."""
    return "Nothing is saved yet. " if pressed == "save" else ""


def _other_rows(fields: Fields, pressed: str) -> Fields | None:
    """Return the form with one time or break more or less; None if the user pressed another button."""
    if pressed == "add":
        row = replace(fields.rows[-1], start_time="", end_time="") if fields.rows else Row()
        return replace(fields, shape="rows", rows=(*fields.rows, row)[: forms.MOST_ROWS])
    if pressed == "add-break":
        return replace(fields, breaks=(*fields.breaks, BreakRow())[:MOST_BREAKS])
    if pressed.startswith("remove-break-"):
        breaks = tuple(row for number, row in enumerate(fields.breaks) if pressed != f"remove-break-{number}")
        return replace(fields, breaks=breaks)
    if pressed.startswith("remove-"):
        kept = tuple(row for number, row in enumerate(fields.rows) if pressed != f"remove-{number}")
        return replace(fields, rows=kept)
    return None


def _stored_digest(session: SessionRow) -> str:
    """Return a digest of the stored values that the form would overwrite."""
    return forms.digest(
        {
            "recurrence": session.recurrence,
            "timezone": session.timezone,
            "initiation_date": session.initiation_date,
            "termination_date": session.termination_date,
            "before": session.active_buffer_minutes_before,
            "after": session.active_buffer_minutes_after,
        }
    )


def _form(
    session: SessionRow,
    fields: Fields,
    errors: Mapping[str, str],
    *,
    stored: str,
    told: str = "",
    asks: bool = False,
    shown: Preview | None = None,
    unsaved: str = "",
) -> str:
    """Render the form; `told` stands at its top, as a question if it `asks`, or else as an error."""
    weeks = {str(number) for number in range(1, MOST_WEEKS_OFFERED + 1)}
    weeks |= {row.every for row in fields.rows if row.every.isdigit()}
    return render_template(
        "seisiun/edit.html",
        session=session,
        fields=fields,
        errors=errors,
        stored=stored,
        told=told,
        asks=asks,
        label=forms.label,
        shown=shown,
        listed=listed,
        unsaved=unsaved,
        weekdays=WEEKDAYS,
        which=forms.WHICH,
        weeks=sorted(weeks, key=int),
        zones=zone_names(),
        most_rows=forms.MOST_ROWS,
        most_breaks=MOST_BREAKS,
        longest_why=LONGEST_WHY,
    )


def _told(saved: ReconcileResult) -> list[str]:
    """Return the notices for the person who has saved."""
    told = ["Saved."]
    if saved.deferred:
        told.append("Somebody else is changing this session, so your change takes effect in a few seconds.")
    return told + [_left_behind(evening) for evening in saved.left_behind]


def _left_behind(evening: LeftBehind) -> str:
    """Return what becomes of an evening that no longer fits the pattern, and how many people said yes to it."""
    day = words.day(evening.date)
    if evening.is_deleted:
        return f"{day} no longer fits the pattern. Nobody had answered it or changed it, so it was removed."
    said = f"{words.people(evening.yeses)} said yes to it."
    return (
        f"{day} no longer fits the pattern. {said} It stays on the list, but it does not take place unless you keep it."
    )
