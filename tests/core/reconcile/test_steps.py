"""L3: which statements a pass sends, case by case; docs/protocol.md has the same steps.

Covers core.reconcile.chunk, core.reconcile.presence, core.store.
"""

from collections.abc import Callable

import pytest
from psycopg2.extensions import connection as Connection  # noqa: N812 - it is a class
from sqlalchemy import Engine

from tests.core.passes import CLOSES, NOON, OPENS, TUESDAYS, reconcile_at, senders_to
from tests.data import add_check_in, add_person, add_session, execute, forget_requests, value


def an_opening(engine: Engine, app: Connection) -> str:
    add_session(app, TUESDAYS)
    reconcile_at(engine, NOON)
    return OPENS


def an_opening_for_somebody(engine: Engine, app: Connection) -> str:
    at = an_opening(engine, app)
    add_check_in(app, value(app, "SELECT session_instance_id FROM session_instance"), add_person(app))
    forget_requests(app)
    return at


def a_closing(engine: Engine, app: Connection) -> str:
    reconcile_at(engine, an_opening(engine, app))
    return CLOSES


def a_closing_on_somebody(engine: Engine, app: Connection) -> str:
    reconcile_at(engine, an_opening_for_somebody(engine, app))
    return CLOSES


def a_closing_that_somebody_holds(engine: Engine, app: Connection) -> str:
    at = a_closing_on_somebody(engine, app)
    execute(app, "BEGIN; SELECT FROM session_instance FOR UPDATE")
    return at


def a_new_session(_: Engine, app: Connection) -> str:
    add_session(app, TUESDAYS)
    return NOON


def a_request_for_nothing(engine: Engine, app: Connection) -> str:
    an_opening(engine, app)
    execute(app, "INSERT INTO plan_request (session_id) SELECT session_id FROM session")
    return NOON


BEGIN_OR_COMMIT = "transactions._own_transaction"
SEARCHES = [BEGIN_OR_COMMIT, "due.due_sessions", "requests.lock_plans"]


def a_request_where_somebody_is(engine: Engine, app: Connection) -> str:
    at = an_opening_for_somebody(engine, app)
    reconcile_at(engine, at)
    execute(app, "INSERT INTO plan_request (session_id) SELECT session_id FROM session")
    return at


def a_request_when_it_opens_for_somebody(engine: Engine, app: Connection) -> str:
    at = an_opening_for_somebody(engine, app)
    execute(app, "INSERT INTO plan_request (session_id) SELECT session_id FROM session")
    return at


def a_late_yes(engine: Engine, app: Connection) -> str:
    at = an_opening(engine, app)
    reconcile_at(engine, at)
    add_check_in(app, value(app, "SELECT session_instance_id FROM session_instance"), add_person(app))
    forget_requests(app)
    execute(app, "INSERT INTO plan_request (session_id) SELECT session_id FROM session")
    return at


FLIPS = "instances._locked {} flips._flip flips._write_phases {}"
NOTIFIES = ["transactions._send"]
PLANS = "snapshots.snapshots snapshots._instances snapshots._skipped activation_windows.stored {} plans._note_planned"
MAKES = (
    "instances._locked "
    + 3 * "instances._insert "
    + "instances._bind_made instances._unskip activation_windows.replace"
)
JOINS = "locations.lock_who_said_yes yeses.move_undisputed"
ARRIVES = "locations.lock yeses.by_person locations._write"
REPLANNED = "flips.states locations.affected_by requests.delete_read"
COSTS: list[tuple[Callable[[Engine, Connection], str], str]] = [
    (an_opening, "flips.states " + FLIPS.format("", "locations.lock_who_said_yes")),
    (
        an_opening_for_somebody,
        "flips.states " + FLIPS.format("", JOINS),
    ),
    (a_closing, "flips.states " + FLIPS.format("flips._lock_active locations.at", "")),
    (
        a_closing_on_somebody,
        "flips.states " + FLIPS.format("flips._lock_active locations.at locations.lock", "yeses.by_person"),
    ),
    (a_closing_that_somebody_holds, "flips.states instances._locked flips._lock_active"),
    (a_new_session, f"{PLANS.format(MAKES)} {REPLANNED}"),
    (
        a_request_where_somebody_is,
        f"{PLANS.format('')} flips.states locations.affected_by yeses.by_person requests.delete_read",
    ),
    (
        a_request_when_it_opens_for_somebody,
        f"{PLANS.format('')} flips.states {FLIPS.format('', 'locations.affected_by')} {JOINS} requests.delete_read",
    ),
    (
        a_late_yes,
        f"{PLANS.format('')} flips.states locations.affected_by yeses.by_person {ARRIVES} requests.delete_read",
    ),
    (a_request_for_nothing, f"{PLANS.format('')} {REPLANNED}"),
]


@pytest.mark.parametrize(("case", "statements"), COSTS, ids=[case.__name__ for case, _ in COSTS])
@pytest.mark.usefixtures("database_of_its_own")
def test_l3_pass_sends_only_the_statements_that_it_needs(
    engine: Engine, app: Connection, case: Callable[[Engine, Connection], str], statements: str
) -> None:
    at = case(engine, app)
    with senders_to(engine) as senders:
        reconcile_at(engine, at, rounds=1)

    told = NOTIFIES if "flips._flip" in statements or "locations._write" in statements else []
    assert senders == [*SEARCHES, "requests.plan_states", *statements.split(), BEGIN_OR_COMMIT, *told]


@pytest.mark.usefixtures("database_of_its_own")
def test_l3_only_a_search_for_bits_compares_them_with_their_mirror(engine: Engine, app: Connection) -> None:
    an_opening(engine, app)
    with senders_to(engine) as senders:
        reconcile_at(engine, NOON, reasons=["edge"])

    assert senders == [BEGIN_OR_COMMIT, "due.due_sessions", BEGIN_OR_COMMIT]


@pytest.mark.usefixtures("database_of_its_own")
def test_l3_a_search_that_finds_several_chunks_compares_nothing(
    engine: Engine, app: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("core.reconcile.batches.CHUNK", 1)
    add_session(app, TUESDAYS)
    an_opening(engine, app)
    with senders_to(engine) as senders:
        reconcile_at(engine, OPENS, rounds=1)

    assert "due.due_sessions" in senders
    assert "mirror.differing" not in senders


@pytest.mark.usefixtures("database_of_its_own")
def test_l3_pass_whose_plans_another_holds_asks_only_whether_the_sessions_exist(
    engine: Engine, app: Connection
) -> None:
    at = an_opening(engine, app)
    execute(app, "BEGIN; SELECT FROM session_plan FOR UPDATE")
    with senders_to(engine) as senders:
        reconcile_at(engine, at, rounds=1)

    assert senders == [*SEARCHES, "requests.existing", BEGIN_OR_COMMIT]
