"""The operator's page: what `status`, `explain`, `upcoming` and `history` say. It only reads, and names no people."""

from datetime import datetime, timedelta

from flask import abort, render_template, request
from sqlalchemy import Connection

from core.errors import SeisiunError
from core.explain import Explanation, PersonExplanation, explain_instance, explain_person, explain_session, find_session
from core.ids import is_id
from core.rules.explanation import wording
from core.status import status
from core.timeline import Edge, FlipRow, history, lateness, upcoming_days
from web.host import require_operator, transaction

MOST_DAYS_AHEAD = 14
MOST_FLIPS = 20
ACCEPTED = "expected for example 2026-12-03T19:00 (local to the session), 2026-12-03T19:00Z or 2026-12-03T19:00+01:00"


def page() -> str:
    """Show whether all is well, how late the flips of the last day were, and a search."""
    require_operator()
    with transaction() as connection:
        found = status(connection)
        late = lateness(connection, found.at - timedelta(days=1))
    return render_template("seisiun/operator.html", status=found, lateness=late, instant=wording.instant, asked="")


def why() -> tuple[str, int]:
    """Explain a session (by id, path or the beginning of its name), an instance or a person."""
    require_operator()
    asked, found, error = request.args.get("session", "").strip(), None, None
    flips: list[FlipRow] = []
    edges: list[Edge] = []
    with transaction() as connection:
        try:
            found = _explained(connection, asked)
            if isinstance(found, Explanation):
                edges = upcoming_days(connection, MOST_DAYS_AHEAD, found.session_id)
                since = found.at - timedelta(days=30)
                flips = history(connection, found.session_id, since=since, limit=MOST_FLIPS)[::-1]
        except SeisiunError as refused:
            error = refused
    shown = render_template(
        "seisiun/why.html",
        found=found,
        error=error,
        edges=edges,
        flips=flips,
        instant=wording.instant,
        asked=asked,
        at=request.args.get("at", ""),
    )
    return shown, 404 if error else 200


def _explained(connection: Connection, session: str) -> Explanation | PersonExplanation:
    instance_id, person_id = _id("instance"), _id("person")
    if person_id is not None:
        return explain_person(connection, person_id)
    if instance_id is not None:
        return explain_instance(connection, instance_id, _at())
    return explain_session(connection, find_session(connection, session), _at())


def _id(name: str) -> int | None:
    text = request.args.get(name)
    if text is None:
        return None
    return int(text) if is_id(text) else abort(400, f"{name} is {text[:40]!r}; give an id, such as 42.")


def _at() -> datetime | None:
    text = request.args.get("at", "").strip()
    try:
        return datetime.fromisoformat(text) if text else None
    except ValueError:
        abort(400, f"The instant is {text[:40]!r}; {ACCEPTED}.")
