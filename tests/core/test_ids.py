"""What apps hand in as ids: what is none is an error of ours that names it, and the app's transaction goes on."""

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from psycopg2.extensions import connection as Connection  # noqa: N812 - it is a class

from core.active_session_manager import (
    active_instances,
    check_in,
    elsewhere_in_town,
    ensure_instance,
    instance_saved,
    leave,
    remove_check_in,
    session_saved,
    whereabouts,
    who_is_here,
)
from core.errors import SeisiunError
from core.explain import explain_instance, explain_person, explain_session
from core.ids import id_of
from core.simulate import simulate
from tests.core.passes import TUESDAYS
from tests.core.rules.planner_model import wall
from tests.data import add_session, connected, execute, value


class Index:
    """As the integers of numpy."""

    def __index__(self) -> int:
        return 7


@pytest.mark.parametrize("given", [7, "7", 7.0, Decimal(7), Decimal("7.00"), Index()])
def test_whole_numbers_and_their_digits_are_ids(given: object) -> None:
    assert id_of(given) == 7


@pytest.mark.parametrize(
    "given",
    [
        None,
        True,
        "ann",
        "",
        "-7",
        "7.0",
        "٧",
        7.5,
        Decimal("7.5"),
        float("nan"),
        float("inf"),
        Decimal("Infinity"),
        Decimal("NaN"),
        Decimal("1e30"),
        2**63,
        "9" * 19,
        b"7",
    ],
)
def test_what_is_none_is_none(given: object) -> None:
    assert id_of(given) is None


def test_the_ends_are_those_of_eight_bytes() -> None:
    assert (id_of(2**63 - 1), id_of(-(2**63) + 1)) == (2**63 - 1, -(2**63) + 1)


CALLS: dict[str, Callable[[Connection, Any], object]] = {
    "check_in, person": lambda db, id_: check_in(db, id_, 1, "yes"),
    "check_in, instance": lambda db, id_: check_in(db, 1, id_, "yes"),
    "leave": lambda db, id_: leave(db, id_, 1),
    "remove_check_in": lambda db, id_: remove_check_in(db, 1, id_),
    "whereabouts": whereabouts,
    "who_is_here": who_is_here,
    "elsewhere_in_town": elsewhere_in_town,
    "active_instances": lambda db, id_: active_instances(db, session_id=id_),
    "ensure_instance": lambda db, id_: ensure_instance(db, id_, wall("2026-12-01 19:00")),
    "explain_session": explain_session,
    "explain_instance": explain_instance,
    "explain_person": explain_person,
    "simulate": lambda db, id_: simulate(db, id_, recurrence=""),
}


@pytest.mark.parametrize("given", ["ann", True, 1.5], ids=repr)
@pytest.mark.parametrize("call", CALLS)
def test_a_call_with_no_id_names_it_and_the_apps_transaction_goes_on(
    app: Connection, database_url: str, call: str, given: object
) -> None:
    session = add_session(app)
    with connected(database_url, autocommit=False) as theirs:
        execute(theirs, "UPDATE session SET city = 'Sligo'")
        with pytest.raises(SeisiunError, match=f"there is no [a-z ]+ {given!r}; expected an id"):
            CALLS[call](theirs, given)
        theirs.commit()

    assert value(app, "SELECT city FROM session WHERE session_id = %s", session) == "Sligo"


@pytest.mark.parametrize("hook", [session_saved, instance_saved])
def test_a_hook_that_gets_no_id_says_so_in_the_log_and_the_save_goes_on(
    app: Connection, database_url: str, caplog: pytest.LogCaptureFixture, hook: Callable[[Connection, Any], Any]
) -> None:
    session = add_session(app)
    with connected(database_url, autocommit=False) as theirs:
        execute(theirs, "UPDATE session SET city = 'Sligo'")
        result = hook(theirs, ["a", "list"])
        theirs.commit()

    assert (result.sessions, result.deferred) == (frozenset(), frozenset())
    [message] = caplog.messages
    assert message.startswith("hook_refused ")
    assert "_id is ['a', 'list']; expected an id, which is a whole number" in message
    assert value(app, "SELECT city FROM session WHERE session_id = %s", session) == "Sligo"


def test_a_hook_that_gets_digits_says_that_it_is_done(database_url: str) -> None:
    with connected(database_url, autocommit=False) as theirs:
        result = session_saved(theirs, str(add_session(theirs, TUESDAYS)))  # type: ignore[arg-type] # as from a form
        theirs.commit()

    assert (len(result.sessions), result.deferred) == (1, frozenset())


def test_what_can_start_nowhere_is_named(app: Connection) -> None:
    session = add_session(app, TUESDAYS)

    for start in ("2026-12-01T19:00", None):
        with pytest.raises(SeisiunError, match=f"nothing can start at {start}; expected a local time without a zone"):
            ensure_instance(app, session, start)  # type: ignore[arg-type] # that is what it tells
