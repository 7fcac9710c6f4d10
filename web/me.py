"""The viewer's own evenings: where they are, where they are coming, where they have been, and what is cancelled."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

from flask import current_app, render_template, request
from sqlalchemy import Connection

from core.active_session_manager import whereabouts
from core.db.transaction_settings import clock
from core.models import is_id
from core.settings import load_settings
from core.store.views import pages
from core.store.views.pages import EveningRow
from web import board, words
from web.host import require_person, transaction

MOST_AHEAD = 100
MOST_BEEN = 20
FARTHEST_ZONE = timedelta(days=1)
"""No zone is farther from UTC: an evening that is dated within a day of today may be over, and may be to come."""


def page() -> str:
    """Show the viewer's evenings; those that are over a page at a time."""
    person_id = require_person().person_id
    before = request.args.get("before", "")
    with transaction() as connection:
        now = clock(connection)
        at = whereabouts(connection, person_id)
        coming = [] if before else ahead(connection, person_id, now)
        been = pages.evenings_before(
            *(connection, person_id, (now + FARTHEST_ZONE).date(), MOST_BEEN + 1),
            before=int(before) if is_id(before) else None,
        )
    return render_template(
        "seisiun/me.html",
        you=board.render_you(current_app, at),
        is_somewhere=at is not None,
        coming=[evening for evening in coming if not evening.instance.is_cancelled],
        cancelled=cancelled(coming),
        been=[evening for evening in been[:MOST_BEEN] if is_over(evening, now)],
        more=been[MOST_BEEN - 1].instance.session_instance_id if len(been) > MOST_BEEN else None,
        is_first=not before,
        default_length=load_settings().default_length,
    )


def ahead(connection: Connection, person_id: int, now: datetime) -> list[EveningRow]:
    """Return the evenings that somebody said yes or maybe to, and that are not over, by date."""
    rows = pages.evenings_ahead(connection, person_id, (now - FARTHEST_ZONE).date(), MOST_AHEAD)
    return [row for row in rows if not is_over(row, now)]


def cancelled(evenings: Iterable[EveningRow]) -> list[EveningRow]:
    """Return those that somebody said yes to, and that are cancelled."""
    return [evening for evening in evenings if evening.instance.is_cancelled and evening.attendance == "yes"]


def is_over(evening: EveningRow, now: datetime) -> bool:
    """Whether an evening's window is over, or, if it has none, its hours, or its date."""
    instance = evening.instance
    if instance.active:
        return False
    stated = words.stated(words.occurrence(instance, load_settings().default_length), evening.timezone)
    ends_at = instance.closes_at or (stated.ends_at if stated else None)
    if ends_at is not None:
        return ends_at <= now
    return instance.date < (now.astimezone(UTC) - FARTHEST_ZONE).date()
