"""Organisers cancel an evening for everybody: the page asks first, and takes a reason. Or they restore it."""

from flask import abort, redirect, render_template, request, url_for
from sqlalchemy import Connection
from werkzeug.wrappers import Response

from core.active_session_manager import instance_saved
from core.db.transaction_settings import clock
from core.store.presence import check_ins
from core.store.views import pages
from core.store.views.pages import InstanceRow
from web import dates
from web.dates import Date
from web.host import notice, require_instance, require_organiser, require_session, transaction
from web.sessions import local_start, made_early, require_date

LONGEST_REASON = 300  # characters


def ask(session_instance_id: int) -> str | Response:
    """Ask whether to cancel this evening; say how many people said yes to it."""
    with transaction() as connection:
        one = dates.of_instance(instance := require_organised(connection, session_instance_id))
        if is_over(connection, instance.session_id, one):
            return refuse_over(instance.session_id, one)
        yeses = check_ins.count_yeses(connection, [session_instance_id]).get(session_instance_id, 0)
        return _question(connection, instance.session_id, one, yeses)


def ask_early(session_id: int) -> str | Response:
    """Ask whether to cancel a date that has no row yet, so that nobody can have said yes to it."""
    require_organiser(session_id)
    start = local_start(request.args)
    with transaction() as connection:
        one = require_date(connection, session_id, start)
        if one.instance:
            return redirect(url_for(".ask_cancel", session_instance_id=one.instance.session_instance_id), 303)
        if is_over(connection, session_id, one):
            return refuse_over(session_id, one)
        return _question(connection, session_id, one, yeses=0)


def _question(connection: Connection, session_id: int, one: Date, yeses: int) -> str:
    session = require_session(connection, session_id)
    return render_template("seisiun/cancel.html", session=session, date=one, yeses=yeses, longest_reason=LONGEST_REASON)


def cancel(session_instance_id: int) -> Response:
    """Cancel this evening, or change the reason; if it is on, it is off when the page comes back."""
    reason = _reason()
    with transaction() as connection:
        one = dates.of_instance(instance := require_organised(connection, session_instance_id))
        if is_over(connection, instance.session_id, one):
            return refuse_over(instance.session_id, one)
        return _set_cancelled(connection, session_instance_id, "Cancelled.", reason=reason, cancelled=True)


def cancel_early(session_id: int) -> Response:
    """Make the row of a date that has none yet (P1), and cancel it."""
    require_organiser(session_id)
    reason, start = _reason(), local_start(request.form)
    with transaction() as connection:
        one = require_date(connection, session_id, start)
        if is_over(connection, session_id, one):
            return refuse_over(session_id, one)
        instance_id = made_early(connection, session_id, start)
        return _set_cancelled(connection, instance_id, "Cancelled.", reason=reason, cancelled=True)


def restore(session_instance_id: int) -> Response:
    """Restore this evening; if it should be on, it is on when the page comes back. One that is over counts again."""
    with transaction() as connection:
        instance = require_organised(connection, session_instance_id)
        was = is_over(connection, instance.session_id, dates.of_instance(instance))
        told = f"Restored: it {'took place' if was else 'happens'} after all."
        return _set_cancelled(connection, session_instance_id, told, reason=None, cancelled=False)


def is_over(connection: Connection, session_id: int, one: Date) -> bool:
    """Return whether a date of this session is past."""
    return dates.is_over(one, require_session(connection, session_id), clock(connection))


def refuse_over(session_id: int, one: Date) -> Response:
    """Say that a date is over, so that who came to it stays as it is; go to its page, or to its session's."""
    notice("This evening is over, so nothing is changed.")
    if one.instance:
        return redirect(url_for(".instance", session_instance_id=one.instance.session_instance_id), 303)
    return redirect(url_for(".session", session_id=session_id), 303)


def require_organised(connection: Connection, session_instance_id: int) -> InstanceRow:
    """Return the instance; refuse a viewer who does not organise its session."""
    instance = require_instance(connection, session_instance_id)
    require_organiser(instance.session_id)
    return instance


def _reason() -> str | None:
    reason = request.form.get("reason", "").strip()
    if len(reason) > LONGEST_REASON:
        abort(400, f"A reason may have at most {LONGEST_REASON} characters; this one has {len(reason)}.")
    return reason or None


def _set_cancelled(
    connection: Connection, session_instance_id: int, told: str, *, reason: str | None, cancelled: bool
) -> Response:
    pages.set_cancelled(connection, session_instance_id, cancelled=cancelled, reason=reason)
    saved = instance_saved(connection, session_instance_id)
    notice(told + (" It takes effect in a moment." if saved.deferred else ""))
    return redirect(url_for(".instance", session_instance_id=session_instance_id), 303)
