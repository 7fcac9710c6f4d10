"""What a change of a session would do: evenings paired, overlaps told, flips decided; from snapshots alone."""

from dataclasses import replace
from datetime import timedelta

import pytest

from core.rules.flips import SessionState, WindowState
from core.rules.planner import SessionSnapshot
from core.rules.simulation import Change, Comparison, EveningChange, compare
from tests.core.rules.planner_model import HORIZON, LENGTH, bound, recurring, row, session, utc, weekly

NOON = "2026-12-01 12:00"
DURING = "2026-12-01 20:00"
TUESDAYS = recurring(weekly("tuesday", "19:00", "22:00"))
EARLIER = recurring(weekly("tuesday", "18:00", "22:00"))
FRIDAYS = recurring(weekly("friday", "19:00", "22:00"))
TWICE = recurring(weekly("tuesday", "12:00", "14:00"), weekly("tuesday", "19:00", "22:00"))
TONIGHT = row(1, "2026-12-01", "19:00", "22:00", bound("2026-12-01 19:00", "22:00"))
UNTOUCHED = row(1, "2026-12-01", "19:00", "22:00", bound("2026-12-01 19:00", "22:00"), untouched=True)


def compared(before: SessionSnapshot, after: SessionSnapshot, now: str = NOON, on: int | None = None) -> Comparison:
    windows = (WindowState(1, utc("2026-12-01 18:00"), utc("2026-12-01 23:00"), "open" if on else "ahead", utc(NOON)),)
    state = SessionState(before.session_id, windows if before.instances else (), on)
    until = utc(now) + timedelta(days=10)
    return compare(before, after, state, utc(now), until, horizon=HORIZON, default_length=LENGTH)


def told(change: EveningChange) -> str:
    """`goes 1 08 19:00-22:00`: the change, the row (`-`: still to be made), day and hours; then what becomes of it."""
    evenings = [
        f"{one.session_instance_id or '-'} {one.starts_at:%d %H:%M}-{one.ends_at:%H:%M}"
        for one in (change.before, change.after)
        if one
    ]
    return f"{change.change} {' > '.join(evenings)}{' deleted' * change.is_deleted}"


@pytest.mark.parametrize(
    ("before", "after", "changes"),
    [
        (session(TONIGHT, recurrence=TUESDAYS), session(TONIGHT, recurrence=TUESDAYS), []),
        (
            session(TONIGHT, recurrence=TUESDAYS),
            session(TONIGHT, recurrence=EARLIER),
            ["changes 1 01 19:00-22:00 > 1 01 18:00-22:00", "changes - 08 19:00-22:00 > - 08 18:00-22:00"],
        ),
        (
            session(TONIGHT, recurrence=TUESDAYS),
            session(TONIGHT, recurrence=FRIDAYS),
            ["goes 1 01 19:00-22:00", "comes - 04 19:00-22:00", "goes - 08 19:00-22:00"],
        ),
        (
            session(UNTOUCHED, recurrence=TUESDAYS),
            session(UNTOUCHED, recurrence=""),
            ["goes 1 01 19:00-22:00 deleted", "goes - 08 19:00-22:00"],
        ),
        (
            session(recurrence=TUESDAYS),
            session(recurrence=TUESDAYS, timezone="America/New_York"),
            ["changes - 01 19:00-22:00 > - 02 00:00-03:00", "changes - 08 19:00-22:00 > - 09 00:00-03:00"],
        ),
        (
            session(recurrence=TUESDAYS),
            session(recurrence=TUESDAYS, after=30),
            ["changes - 01 19:00-22:00 > - 01 19:00-22:00", "changes - 08 19:00-22:00 > - 08 19:00-22:00"],
        ),
        (
            session(recurrence=TUESDAYS),
            session(recurrence=TWICE),
            [
                "changes - 01 19:00-22:00 > - 01 12:00-14:00",
                "comes - 01 19:00-22:00",
                "changes - 08 19:00-22:00 > - 08 12:00-14:00",
                "comes - 08 19:00-22:00",
            ],
        ),
        (
            session(recurrence=TUESDAYS, timezone="Mars"),
            session(recurrence=TUESDAYS),
            ["comes - 01 19:00-22:00", "comes - 08 19:00-22:00"],
        ),
    ],
)
def test_evenings_come_go_and_change(before: SessionSnapshot, after: SessionSnapshot, changes: list[str]) -> None:
    assert [told(change) for change in compared(before, after).changes] == changes


def test_what_is_far_ahead_is_compared_though_rows_of_the_session_are_made_late() -> None:
    tuesdays, fridays = (replace(session(recurrence=text), hours_ahead=1) for text in (TUESDAYS, FRIDAYS))

    assert [told(change) for change in compared(tuesdays, fridays).changes] == [
        "goes - 01 19:00-22:00",
        "comes - 04 19:00-22:00",
        "goes - 08 19:00-22:00",
    ]


def test_p7_overlaps_tell_who_is_on_instead_of_whom_and_when() -> None:
    both = recurring(weekly("friday", "14:00", "23:00"), weekly("friday", "18:00", "20:00"))

    found = compared(session(recurrence=FRIDAYS), session(recurrence=both)).overlaps

    assert [
        (
            f"{one.winner.starts_at:%H:%M} over {one.loser.starts_at:%H:%M}",
            f"{one.window.opens_at:%d %H:%M}-{one.window.closes_at:%H:%M}",
        )
        for one in found[:3]
    ] == [
        ("14:00 over 18:00", "04 17:00-18:00"),
        ("18:00 over 14:00", "04 18:00-20:00"),
        ("14:00 over 18:00", "04 20:00-21:00"),
    ]


def test_p7_an_overlap_that_is_over_is_not_told() -> None:
    both = recurring(weekly("friday", "14:00", "23:00"), weekly("friday", "18:00", "20:00"))

    found = compared(session(recurrence=FRIDAYS), session(recurrence=both), "2026-12-04 18:30").overlaps

    assert [f"{one.window.opens_at:%d %H:%M}" for one in found[:2]] == ["04 18:00", "04 20:00"]


def test_what_flips_at_once_is_what_the_next_pass_flips() -> None:
    before = session(TONIGHT, recurrence=TUESDAYS)

    off = compared(before, session(TONIGHT, recurrence=FRIDAYS), DURING, on=1).flips
    stays = compared(before, session(TONIGHT, recurrence=TUESDAYS, before=0), DURING, on=1).flips
    made = compared(session(), session(recurrence=TUESDAYS), DURING).flips

    assert [(flip.session_instance_id, flip.active) for flip in off] == [(1, False)]
    assert stays == ()
    assert [(flip.session_instance_id, flip.active) for flip in made] == [(-1, True)]


def test_a_change_that_cannot_be_read_changes_nothing() -> None:
    found = compared(session(TONIGHT, recurrence=TUESDAYS), session(TONIGHT, recurrence="most Tuesdays"))

    assert [told(change) for change in found.changes] == ["goes - 08 19:00-22:00"]
    assert found.changes[0].change is Change.GOES
