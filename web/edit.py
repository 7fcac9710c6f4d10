"""Organisers edit a session: checked, shown, and only then saved; what should be on is on when the page comes back."""

from dataclasses import replace
from datetime import timedelta

from flask import redirect, render_template, request, url_for
from sqlalchemy import Connection
from werkzeug.wrappers import Response

from core.active_session_manager import ReconcileResult, session_saved
from core.db.transaction_settings import clock
from core.recurrence import Occurrence
from core.recurrence.schedules import WEEKDAYS
from core.store import sessions
from core.store.views import pages
from core.store.views.pages import SessionRow
from core.timezones import zone_names
from web import dates, forms, words
from web.forms import Checked, Fields, Row
from web.host import notice, require_organiser, require_session, transaction

MOST_DATES = 8
MOST_WEEKS_OFFERED = 8

Answer = str | tuple[str, int] | Response


def page(session_id: int) -> Answer:
    """Show the form as the session stands."""
    with transaction() as connection:
        session = require_session(connection, session_id)
        require_organiser(session_id)
    fields = forms.stored(session)
    errors = dict(forms.checked(fields).errors) if session.recurrence or session.timezone else {}
    return _form(session, fields, errors, stood=_stood(session))


def save(session_id: int) -> Answer:
    """Add a row or remove one, show what the form would mean, or save exactly what was shown."""
    with transaction() as connection:
        session = require_session(connection, session_id, for_update=True)
        require_organiser(session_id)
        fields, wish = forms.submitted(request.form), request.form.get("do", "show")
        stood = request.form.get("stood", "")
        if changed := _other_rows(fields, wish):
            return _form(session, changed, {}, stood=stood)
        checked = forms.checked(fields)
        if checked.errors:
            return _form(session, fields, checked.errors, stood=stood)
        if stood != _stood(session):
            changed_meanwhile = {"form": "Somebody else has saved this session since. Look at it again before you do."}
            return _form(session, fields, changed_meanwhile, stood=_stood(session)), 409
        if wish != "save" or request.form.get("shown") != checked.digest:
            return _form(session, fields, {}, stood=stood, shown=checked, ahead=_ahead(connection, checked))
        sessions.update_session(connection, session_id, checked.columns)
        saved = session_saved(connection, session_id)
    for text in _told(saved):
        notice(text)
    return redirect(url_for(".session", session_id=session_id), 303)


def _other_rows(fields: Fields, wish: str) -> Fields | None:
    """Return the form with a row more, or without one; None where that is not what is wished."""
    if wish == "add":
        row = replace(fields.rows[-1], start_time="", end_time="") if fields.rows else Row()
        return replace(fields, shape="rows", rows=(*fields.rows, row)[: forms.MOST_ROWS])
    if wish.startswith("remove-"):
        kept = tuple(row for number, row in enumerate(fields.rows) if wish != f"remove-{number}")
        return replace(fields, rows=kept)
    return None


def _stood(session: SessionRow) -> str:
    """Return a name for what the form would overwrite."""
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


def _ahead(connection: Connection, checked: Checked) -> list[Occurrence]:
    """Return the next dates that the form would mean."""
    columns = checked.columns
    meant = pages.SessionRow(0, "", None, None, None, None, str(columns["timezone"]), None, None, None, 0, 0, None)
    first = dates.today(meant, clock(connection))
    return list(
        checked.recurrence.between(
            first,
            first + timedelta(days=400),
            initiation_date=columns["initiation_date"],  # type: ignore[arg-type] # the form's dates are dates
            termination_date=columns["termination_date"],  # type: ignore[arg-type]
        )[:MOST_DATES]
    )


def _form(
    session: SessionRow,
    fields: Fields,
    errors: object,
    *,
    stood: str,
    shown: Checked | None = None,
    ahead: list[Occurrence] | None = None,
) -> str:
    weeks = {str(number) for number in range(1, MOST_WEEKS_OFFERED + 1)}
    weeks |= {row.every for row in fields.rows if row.every.isdigit()}
    return render_template(
        "seisiun/edit.html",
        session=session,
        fields=fields,
        errors=errors,
        stood=stood,
        shown=shown,
        pattern=words.pattern(shown.recurrence) if shown else None,
        ahead=ahead,
        weekdays=WEEKDAYS,
        which=forms.WHICH,
        weeks=sorted(weeks, key=int),
        zones=zone_names(),
        most_rows=forms.MOST_ROWS,
    )


def _told(saved: ReconcileResult) -> list[str]:
    """Return what to tell whoever has saved."""
    told = ["Saved."]
    if saved.deferred:
        told.append("Somebody else holds this session just now: it takes effect in a moment.")
    if saved.unwindowed:
        count = len(saved.unwindowed)
        which = "date that stands fits" if count == 1 else "dates that stand fit"
        told.append(f"{count} {which} the new pattern no longer: kept, because somebody touched or joined it.")
    return told
