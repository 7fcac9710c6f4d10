"""A daemon's counters: what each flip and each pass adds."""

from datetime import UTC, datetime, timedelta

import pytest

from core.reconcile.counters import BOUNDS, Counters
from core.reconcile.log import MISSED
from core.reconcile.result import ReconcileResult
from core.rules.flips import Cause, Flip

DUE = datetime(2026, 12, 1, 20, tzinfo=UTC)
MS = timedelta(milliseconds=1)


def flip(number: int, *, active: bool = True, is_repair: bool = False) -> Flip:
    return Flip(1, number, active=active, due_at=DUE, is_repair=is_repair)


def test_nothing_is_counted_at_first() -> None:
    assert Counters().as_json() == {
        "flips": [],
        "late": dict.fromkeys(BOUNDS, 0),
        "late_seconds": 0.0,
        "misses": 0,
        "passes": 0,
        "pass_seconds": 0.0,
    }


def test_flips_are_counted_by_cause_and_direction_and_passes_with_their_seconds() -> None:
    counters = Counters()
    both = ReconcileResult(activated=(flip(1), flip(2)), deactivated=(flip(3, active=False),))
    counters.note_pass(Cause.TIMER, both, DUE, 0.5)
    counters.note_pass(Cause.NOTIFY, both, DUE, 0.25)
    counters.note_pass(Cause.NOTIFY, ReconcileResult(), DUE, 0.25)

    found = counters.as_json()
    assert found["flips"] == [["notify", False, 1], ["notify", True, 2], ["timer", False, 1], ["timer", True, 2]]
    assert (found["passes"], found["pass_seconds"]) == (3, 1.0)


@pytest.mark.parametrize(
    ("late", "first_bound", "is_miss"),
    [
        (-MS, "0.01", False),
        (10 * MS, "0.01", False),
        (11 * MS, "0.05", False),
        (MISSED, "5.0", False),
        (MISSED + MS, "30.0", True),
        (timedelta(days=1), "+Inf", True),
    ],
)
def test_l7_each_bucket_holds_what_was_at_most_so_late(late: timedelta, first_bound: str, *, is_miss: bool) -> None:
    counters = Counters()
    counters.note_pass(Cause.RESYNC, ReconcileResult(activated=(flip(1),)), DUE + late, 0)

    found = counters.as_json()
    within = [bound for bound in BOUNDS if found["late"][bound]]
    assert within == list(BOUNDS[BOUNDS.index(first_bound) :])
    assert found["misses"] == is_miss
    assert found["late_seconds"] == max(0, late.total_seconds())


def test_l7_a_repair_is_a_flip_and_is_neither_late_nor_a_miss() -> None:
    counters = Counters()
    repair = ReconcileResult(activated=(flip(1, is_repair=True),))
    counters.note_pass(Cause.RESYNC, repair, DUE + timedelta(hours=1), 0)

    found = counters.as_json()
    assert found["flips"] == [["repair", True, 1]]
    assert (found["misses"], found["late"]["+Inf"], found["late_seconds"]) == (0, 0, 0)
