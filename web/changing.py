"""Organisers change one evening (date, hours, place, note), add one, or keep one that no longer fits the pattern."""

from collections.abc import Mapping
from datetime import date, datetime, time, timedelta

from flask import redirect, render_template, request, url_for
from sqlalchemy import Connection
from werkzeug.wrappers import Response

from core.active_session_manager import instance_saved
from core.db.transaction_settings import clock
from core.store import evenings
from core.store.presence import check_ins
from core.store.queue import requests
from core.store.views.pages import SessionRow
from web import dates, forms, words
from web.cancelling import is_over, refuse_over, require_organised
from web.dates import Date
from web.host import notice, require_organiser, require_session, transaction
from web.sessions import local_start, made_early, require_date
from web.strips import DAY_BEGINS

LONGEST_PLACE = 200  # characters
LONGEST_NOTE = 500  # characters

Answer = str | tuple[str, int] | Response
Fields = Mapping[str, str]
"""The form of an evening as it is filled in, by name; an empty place or note means none."""
COLUMNS = {
    "date": "date",
    "from": "start_time",
    "until": "end_time",
    "place": "location_override",
    "note": "comments",
}
HOURS = {"date", "from", "until"}


def shown(one: Date) -> Fields:
    """Return the form of a date as it stands."""
    hours, instance = one.hours, one.instance
    return {
        "date": str(one.day),
        "from": f"{hours.start:%H:%M}" if hours else "",
        "until": f"{hours.end:%H:%M}" if hours and hours.states_end else "",
        "place": forms.plain((instance and instance.location_override) or ""),
        "note": forms.plain((instance and instance.comments) or ""),
    }


def submitted(form: Mapping[str, str], prefix: str = "") -> Fields:
    """Return the form as the viewer sent it; with the prefix `was-`, as we had shown it."""
    return {name: forms.plain(form.get(prefix + name, "")) for name in COLUMNS}


def changed(fields: Fields, before: Fields) -> set[str]:
    """Return the names of the fields that differ."""
    return {name for name in COLUMNS if not forms.is_same(fields[name], before[name])}


def checked(fields: Fields, session: SessionRow, errors: dict[str, str]) -> Mapping[str, date | time | str | None]:
    """Return what the form means, by name; add an error for each field that is wrong."""
    day = forms.read_date("date", fields["date"], errors)
    if not fields["date"]:
        errors["date"] = "Give the date."
    elif day and session.termination_date and day > session.termination_date:
        last = words.day_and_year(session.termination_date)
        errors["date"] = f"The session's last date is {last}. Give a date until then, or change the last date first."
    start, end = _time("from", fields["from"], errors), _time("until", fields["until"], errors)
    if not fields["from"]:
        errors["from"] = "Give the time when it starts."
    elif start and start == end:
        errors["until"] = forms.ENDS_AT_ITS_START
    for name, text, most in (("place", fields["place"], LONGEST_PLACE), ("note", fields["note"], LONGEST_NOTE)):
        if len(text) > most:
            errors[name] = f"This has {len(text)} characters. Accepted: at most {most}."
    return {"date": day, "from": start, "until": end, "place": fields["place"] or None, "note": fields["note"] or None}


def _time(name: str, text: str, errors: dict[str, str]) -> time | None:
    try:
        found = datetime.strptime(text, "%H:%M").time() if text else None  # noqa: DTZ007 -- a wall time
    except ValueError:
        errors[name] = f"{text[:40]!r} is no time. Accepted: a time such as 19:30."
        return None
    return found


def _refuse_past(
    connection: Connection, session: SessionRow, one: Date | None, fields: Fields, errors: dict[str, str]
) -> None:
    """Add an error where the date changes and the old or the new one is past; a day of music ends at six."""
    if "date" in errors or (one and fields["date"] == shown(one)["date"]):
        return
    now = clock(connection)
    if one and dates.is_over(one, session, now):
        errors["date"] = "This evening is over, so its date stays. You can add another evening."
    elif date.fromisoformat(fields["date"]) < dates.today(session, now - timedelta(hours=DAY_BEGINS.hour)):
        errors["date"] = "This date is past. Give a date from today on."


# One evening


def page(session_instance_id: int) -> Answer:
    """Show the form of this evening."""
    with transaction() as connection:
        instance = require_organised(connection, session_instance_id)
        session = require_session(connection, instance.session_id)
        one = dates.of_instance(instance)
        return _form(connection, session, one, shown(one))


def change(session_instance_id: int) -> Answer:
    """Write what the form says of this evening; if it should be on now, it is on when the page comes back."""
    with transaction() as connection:
        instance = require_organised(connection, session_instance_id)
        return _change(connection, instance.session_id, dates.of_instance(instance))


def keep(session_instance_id: int) -> Response:
    """Let an evening that no longer fits the pattern take place at its own hours."""
    with transaction() as connection:
        one = dates.of_instance(instance := require_organised(connection, session_instance_id))
        if is_over(connection, instance.session_id, one):
            return refuse_over(instance.session_id, one)
        evenings.release(connection, session_instance_id)
        # Deleting a binding fires no trigger of ours, so we ask for the plan ourselves.
        requests.add_and_notify(connection, [instance.session_id], requests.HOURS)
        return _saved(connection, session_instance_id, "It takes place.")


# A date that has no row yet


def page_early(session_id: int) -> Answer:
    """Show the form of a date that has no row yet."""
    require_organiser(session_id)
    with transaction() as connection:
        one = require_date(connection, session_id, local_start(request.args))
        if one.instance:
            return redirect(url_for(".change_form", session_instance_id=one.instance.session_instance_id), 303)
        return _form(connection, require_session(connection, session_id), one, shown(one))


def change_early(session_id: int) -> Answer:
    """Make the row of a date that has none yet (P1), and write what the form says."""
    require_organiser(session_id)
    with transaction() as connection:
        one = require_date(connection, session_id, local_start(request.form))
        return _change(connection, session_id, one)


def _change(connection: Connection, session_id: int, one: Date) -> Answer:
    """Write what the viewer has changed; the rest stays as it is by now, and a row goes on following the pattern.

    Where the viewer and another organiser have changed one field since we showed the form, ask the viewer again.
    """
    session = require_session(connection, session_id)
    now, sent = shown(one), submitted(request.form)
    was = submitted(request.form, "was-") if "was-date" in request.form else now
    mine = changed(sent, was)
    fields = {name: sent[name] if name in mine else now[name] for name in COLUMNS}
    written = mine | HOURS if mine & HOURS else mine
    found = dict[str, str]()
    values = checked(fields, session, found)
    _refuse_past(connection, session, one, fields, found)
    errors = {name: error for name, error in found.items() if name in written}
    theirs = changed(now, was) & changed(fields, now)
    for name in theirs:
        errors[name] = f"Somebody else has changed this: it is {now[name] or 'empty'} now. Save again to replace it."
    if errors:
        return _form(connection, session, one, fields, errors), 409 if theirs else 200
    if one.instance:
        instance_id = one.instance.session_instance_id
    else:
        assert one.occurrence
        instance_id = made_early(connection, session_id, one.occurrence.start)
    if written:
        evenings.update_instance(connection, instance_id, {COLUMNS[name]: values[name] for name in written})
    return _saved(connection, instance_id, "Saved.")


# A new one


def page_new(session_id: int) -> Answer:
    """Show the form of an evening beside the pattern."""
    require_organiser(session_id)
    with transaction() as connection:
        return _form(connection, require_session(connection, session_id), None, dict.fromkeys(COLUMNS, ""))


def add(session_id: int) -> Answer:
    """Add an evening beside the pattern, unless the session has one that starts then."""
    require_organiser(session_id)
    with transaction() as connection:
        session = require_session(connection, session_id)
        fields, errors = submitted(request.form), dict[str, str]()
        values = checked(fields, session, errors)
        _refuse_past(connection, session, None, fields, errors)
        if not errors and (taken := _starting_with(connection, session, fields)):
            errors["from"] = f"The session has an evening on {words.day(taken.day)} that starts then. Change that one."
        if errors:
            return _form(connection, session, None, fields, errors)
        columns = {COLUMNS[name]: value for name, value in values.items()}
        instance_id = evenings.insert_instance(connection, session_id, columns)
        return _saved(connection, instance_id, "Added.")


def _starting_with(connection: Connection, session: SessionRow, fields: Fields) -> Date | None:
    """Return the date of the session that starts on the form's date at the form's time, if there is one."""
    day = date.fromisoformat(fields["date"])
    found = dates.between(connection, session, day, day)
    return next((one for one in found if shown(one)["from"] == fields["from"]), None)


def _form(
    connection: Connection,
    session: SessionRow,
    one: Date | None,
    fields: Fields,
    errors: Mapping[str, str] | None = None,
) -> str:
    yeses = 0
    if one and one.instance:
        instance_id = one.instance.session_instance_id
        yeses = check_ins.count_yeses(connection, [instance_id]).get(instance_id, 0)
    return render_template(
        "seisiun/change.html",
        session=session,
        date=one,
        fields=fields,
        was=shown(one) if one else {},
        errors=errors,
        yeses=yeses,
        longest_place=LONGEST_PLACE,
        longest_note=LONGEST_NOTE,
    )


def _saved(connection: Connection, session_instance_id: int, text: str) -> Response:
    saved = instance_saved(connection, session_instance_id)
    notice(text + (" It takes effect in a moment." if saved.deferred else ""))
    return redirect(url_for(".instance", session_instance_id=session_instance_id), 303)
