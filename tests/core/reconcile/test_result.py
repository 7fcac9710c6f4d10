"""What two passes did together."""

from datetime import UTC, date, datetime
from typing import Any

import pytest

from core.reconcile.presence import Moved
from core.reconcile.result import LeftBehind, ReconcileResult
from core.rules.flips import Flip

AT = datetime(2026, 12, 1, 18, tzinfo=UTC)


def result(number: int) -> ReconcileResult:
    """Return a result with this number in each field."""
    flip = Flip(number, number, True, AT)
    return ReconcileResult(
        sessions=frozenset({number}),
        activated=(flip,),
        deactivated=(flip,),
        planned=(number,),
        retimed=(number,),
        deleted=(number,),
        unwindowed=(number,),
        deferred=frozenset({number}),
        unreadable={number: "no zone"},
        failed={number: "busy"},
        left_behind=(LeftBehind(number, date(2026, 12, 1), 0, is_deleted=False),),
        edges=frozenset({AT.replace(minute=number)}),
        dropped=number,
        people=number,
    )


def test_both_have_all_that_each_did_in_order() -> None:
    both, (one, two) = result(1) + result(2), (result(1), result(2))

    for name in ("sessions", "deferred", "edges", "unreadable", "failed"):
        assert getattr(both, name) == getattr(one, name) | getattr(two, name)
    for name in (
        *("activated", "deactivated", "planned", "retimed", "deleted", "unwindowed", "left_behind"),
        *("dropped", "people"),
    ):
        assert getattr(both, name) == getattr(one, name) + getattr(two, name)
    assert both.flips == both.deactivated + both.activated


def test_what_a_later_pass_tried_again_counts_as_it_left_it() -> None:
    first = ReconcileResult(sessions=frozenset({1}), deferred=frozenset({2, 3}), failed={4: "busy", 5: "busy"})
    later = ReconcileResult(sessions=frozenset({2, 4}), deferred=frozenset({3}), failed={6: "gone"})

    found = first.followed_by(later)

    assert (found.sessions, found.deferred) == (frozenset({1, 2, 4}), frozenset({3}))
    assert found.failed == {5: "busy", 6: "gone"}


@pytest.mark.parametrize(
    "found",
    [{"sessions": frozenset({1})}, {"deferred": frozenset({1})}, {"failed": {1: "busy"}}, {"dropped": 1}],
    ids=str,
)
def test_a_search_that_found_anything_is_not_empty(found: dict[str, Any]) -> None:
    assert not ReconcileResult(**found).is_empty
    assert ReconcileResult(planned=(1,)).is_empty


def test_the_moves_of_both_are_all_moves() -> None:
    one, two = (Moved(*(frozenset({number + field}) for field in (10, 20, 30))) for number in (1, 2))

    assert one + two == Moved(frozenset({11, 12}), frozenset({21, 22}), frozenset({31, 32}))
