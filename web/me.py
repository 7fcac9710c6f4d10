"""The viewer's own evenings: where they are, where they are coming, where they have been, and what is cancelled."""

from flask import current_app, render_template, request

from core.db.transaction_settings import clock
from core.ids import is_id
from core.settings import load_settings
from core.store.views import pages
from web import board
from web.dates import FARTHEST_ZONE, evening_is_over
from web.host import require_person, transaction

MOST_BEEN = 20


def page() -> str:
    """Show the viewer's evenings; those that are over a page at a time."""
    person_id = require_person().person_id
    before = request.args.get("before", "")
    with transaction() as connection:
        now = clock(connection)
        you = board.read_you(connection, [person_id], now)[person_id]
        been = pages.evenings_before(
            *(connection, person_id, (now + FARTHEST_ZONE).date(), MOST_BEEN + 1),
            before=int(before) if is_id(before) else None,
        )
    return render_template(
        "seisiun/me.html",
        you=board.render_you(current_app, you),
        is_somewhere=you.at is not None,
        # What is cancelled of what they said yes to is told above the list.
        coming=[one for one in you.ahead if one.attendance != "no" and one not in you.cancelled],
        been=[one for one in been[:MOST_BEEN] if evening_is_over(one, now)],
        more=been[MOST_BEEN - 1].instance.session_instance_id if len(been) > MOST_BEEN else None,
        is_first=not before,
        default_length=load_settings().default_length,
    )
