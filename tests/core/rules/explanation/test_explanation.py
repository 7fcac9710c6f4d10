"""The verdicts and their chains, from readings that no database gave: each reason, each sentence."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import timedelta

import pytest

from core.rules.explanation import explain
from core.rules.explanation.case import Case, case_of
from core.rules.explanation.reading import (
    Attendance,
    Explanation,
    Holder,
    LoggedFlip,
    Pending,
    PersonReading,
    RowFacts,
    SessionReading,
    Why,
)
from core.rules.explanation.verdict import deciding
from core.rules.explanation.wording import length
from core.rules.flips import Phase, SessionState, WindowState
from core.rules.planner import InstanceSnapshot, SessionSnapshot
from core.rules.presence import Left, SaidYes
from tests.core.rules.planner_model import HORIZON, LENGTH, bound, recurring, row, session, utc, weekly

# Tuesday the first of December; Dublin's clocks show UTC. The session is 19:00 to 22:00, its window 18:00 to 23:00.
TUESDAYS = recurring(weekly("tuesday", "19:00", "22:00"))
NOON = "2026-12-01 12:00"
DURING = "2026-12-01 20:00"
LATE = "2026-12-01 23:30"
HELD = timedelta(seconds=5)
BOUND = bound("2026-12-01 19:00", "22:00")


def tonight(**changes: bool) -> InstanceSnapshot:
    return row(1, "2026-12-01", "19:00", "22:00", BOUND, **changes)


def window(
    instance: int = 1, opens: str = "2026-12-01 18:00", closes: str = "2026-12-01 23:00", phase: Phase = "open"
) -> WindowState:
    return WindowState(instance, utc(opens), utc(closes), phase, utc(NOON))


def reading(
    snapshot: SessionSnapshot,
    *windows: WindowState,
    now: str = DURING,
    on: int | None = None,
    requested: str | None = None,
    flips: Iterable[LoggedFlip] = (),
) -> SessionReading:
    rows = {one.session_instance_id: RowFacts(one.session_instance_id == on, True, True) for one in snapshot.instances}
    live = tuple(one for one in windows if one.phase != "over")
    state = SessionState(snapshot.session_id, live, on, utc(requested) if requested else None)
    return SessionReading("Mueller's", utc(now), snapshot, state, windows, rows, tuple(flips))


def case(read: SessionReading, at: str | None = None) -> Case:
    return case_of(read, utc(at) if at else read.read_at, horizon=HORIZON, default_length=LENGTH)


def explained(
    read: SessionReading, at: str | None = None, *, key: int | None = None, attendance: Attendance | None = None
) -> Explanation:
    """Explain an instance; without a key the one that decides."""
    found = case(read, at)
    return explain(found, deciding(found) if key is None else key, attendance or Attendance())


def texts(explanation: Explanation, subject: str) -> list[str]:
    return [step.text for step in explanation.steps if step.subject == subject]


# Why


TUESDAYS_ON = (session(tonight(), recurrence=TUESDAYS), (window(),), 1)
CANCELLED = session(tonight(cancelled=True), recurrence=TUESDAYS)
AHEAD = (session(tonight(), recurrence=TUESDAYS), (window(phase="ahead"),), None)
LOST = session(row(1, "2026-12-01", "19:00", "22:00", bound("2026-12-01 19:00", "22:00", lost=True)))
TWO = session(
    row(1, "2026-12-01", "14:00", "23:00"), row(2, "2026-12-01", "18:00", "21:00"), before=0, after=0
)  # at 20:00 the second is on
TWO_WINDOWS = (
    window(1, "2026-12-01 14:00", "2026-12-01 18:00", "over"),
    window(2, "2026-12-01 18:00", "2026-12-01 21:00"),
    window(1, "2026-12-01 21:00", "2026-12-01 23:00", "ahead"),
)
FLIPS = [
    LoggedFlip(1, False, utc("2026-12-01 23:00"), utc("2026-12-01 23:00"), "timer", "closed"),
    LoggedFlip(1, True, utc("2026-12-01 18:00"), utc("2026-12-01 18:00"), "timer", "opened"),
]
CANCELLED_FLIP = LoggedFlip(1, False, utc("2026-12-01 20:30"), utc("2026-12-01 20:30"), "notify", "cancelled")
EQUAL = session(row(1, "2026-12-01", "19:00", "22:00"), row(2, "2026-12-01", "19:00", "22:00"))


@pytest.mark.parametrize(
    ("read", "at", "key", "why", "is_on", "verdict"),
    [
        (
            reading(TUESDAYS_ON[0], window(), on=1),
            None,
            None,
            Why.ON,
            True,
            "On until 23:00: Tuesdays, 7-10pm, an hour before to an hour after",
        ),
        (reading(CANCELLED), None, None, Why.CANCELLED, False, "Not on: cancelled (P5)"),
        (
            replace(reading(CANCELLED), rows={1: RowFacts(False, False, False, "publican ill")}),
            None,
            None,
            Why.CANCELLED,
            False,
            "Not on: cancelled, 'publican ill' (P5)",
        ),
        (reading(LOST), None, None, Why.LOST, False, "Not on: the pattern no longer has it, and nobody has"),
        (
            reading(session(tonight(), recurrence=TUESDAYS, until="2026-11-30")),
            None,
            None,
            Why.TERMINATED,
            False,
            "Not on: it is dated after the session's last date, 2026-11-30 (R3)",
        ),
        (
            reading(session(row(1, "2026-12-01"))),
            None,
            1,
            Why.NO_HOURS,
            False,
            "Not on: it states no start, and stands for no occurrence (T3)",
        ),
        (
            reading(AHEAD[0], window(phase="ahead"), now=NOON),
            None,
            None,
            Why.NOT_YET,
            False,
            "Not on: it opens at Tue 1 Dec 2026 18:00 Europe/Dublin (2026-12-01 18:00 UTC)",
        ),
        (
            reading(AHEAD[0], window(phase="over"), now=LATE),
            None,
            1,
            Why.OVER,
            False,
            "Not on: over since Tue 1 Dec 2026 23:00 Europe/Dublin (2026-12-01 23:00 UTC)",
        ),
        (
            reading(TWO, *TWO_WINDOWS, on=2),
            None,
            1,
            Why.OVERLAPPED,
            False,
            "Not on: instance 2 of the same session is on instead until 21:00 (P7)",
        ),
        (
            reading(EQUAL, window(1, phase="ahead"), now=NOON),
            None,
            2,
            Why.OVERLAPPED,
            False,
            "Not on: others of the same session take all of its window (P7)",
        ),
        (
            reading(session(tonight(), timezone="Mars"), window(), on=1),
            None,
            None,
            Why.ON,
            True,
            "On until 2026-12-01 23:00 UTC: by its stored window, as the session's zone cannot be read (P6)",
        ),
        (
            reading(session(tonight(), timezone="Mars")),
            None,
            1,
            Why.UNREADABLE,
            False,
            "Not on: it has no window, because the session cannot be read: 'Mars' is not a known time zone",
        ),
        (
            reading(session(tonight(), timezone="Mars")),
            None,
            None,
            Why.UNREADABLE,
            False,
            "Not on: it has no window, because the session cannot be read: 'Mars' is not a known time zone",
        ),
        (
            reading(session(recurrence="most Tuesdays")),
            None,
            None,
            Why.UNREADABLE,
            False,
            "Not on: it has no window, because the session cannot be read: ",
        ),
        (
            reading(session(recurrence=TUESDAYS, skipped=("2026-12-01 19:00",))),
            None,
            None,
            Why.SKIPPED,
            False,
            "Not on: somebody deleted the row of Tue 1 Dec 2026 19:00 to 22:00, and no other is made for it: to have",
        ),
        (
            reading(session(recurrence=TUESDAYS), now="2026-12-03 12:00"),
            None,
            None,
            Why.NOT_PLANNED,
            False,
            (
                "Not on: it opens next at Tue 8 Dec 2026 18:00 Europe/Dublin (2026-12-08 18:00 UTC); "
                "not planned yet: its row is made at Mon 7 Dec 2026 18:00 Europe/Dublin (2026-12-07 18:00 UTC) (P1)"
            ),
        ),
        (reading(session()), None, None, Why.NOTHING, False, "Not on: nothing is ahead, in the rows or in the pattern"),
        # Ahead
        (
            reading(session(recurrence=TUESDAYS), now=NOON),
            "2026-12-15 20:00",
            None,
            Why.ON,
            True,
            "Will be on until 23:00: Tuesdays, 7-10pm, an hour before to an hour after",
        ),
        (
            reading(session(tonight(), recurrence=TUESDAYS), window(phase="ahead"), now=NOON),
            "2026-12-14 20:00",
            None,
            Why.NOT_YET,
            False,
            "Will not be on: it opens at Tue 15 Dec 2026 18:00 Europe/Dublin (2026-12-15 18:00 UTC); not planned yet: ",
        ),
        (
            reading(TWO, *TWO_WINDOWS, on=2),
            "2026-12-01 20:30",
            1,
            Why.OVERLAPPED,
            False,
            "Will not be on: instance 2 of the",
        ),
        # Past: by the log alone, whatever rows and windows say now
        (
            reading(session(recurrence=TUESDAYS), now=LATE, flips=FLIPS),
            DURING,
            None,
            Why.ON,
            True,
            (
                "On: it opened at Tue 1 Dec 2026 18:00 Europe/Dublin (2026-12-01 18:00 UTC), and closed at Tue 1 Dec "
                "2026 23:00 Europe/Dublin (2026-12-01 23:00 UTC), by the log of flips. What pattern, row and windows "
                "said then is not kept: below they are as now"
            ),
        ),
        (
            reading(TUESDAYS_ON[0], window(), now=LATE, flips=FLIPS),
            NOON,
            None,
            Why.NOT_YET,
            False,
            "Not on: no evening of it was on then, by the log of flips; the next opened at Tue 1 Dec 2026 18:00 ",
        ),
        (
            reading(TUESDAYS_ON[0], window(), now=LATE, flips=[CANCELLED_FLIP, *FLIPS[1:]]),
            "2026-12-01 22:00",
            None,
            Why.CANCELLED,
            False,
            "Not on: it was cancelled at Tue 1 Dec 2026 20:30 ",
        ),
        (
            reading(AHEAD[0], window(phase="over"), now=LATE),
            DURING,
            None,
            Why.NOTHING,
            False,
            "Not on: no evening of it was on then, by the log of flips. What pattern",
        ),
        (
            reading(AHEAD[0], now=LATE, flips=FLIPS[:1]),
            DURING,
            None,
            Why.ON,
            True,
            "On: it closed at Tue 1 Dec 2026 23",
        ),
        (
            reading(AHEAD[0], now=LATE),
            "2026-10-01 12:00",
            None,
            Why.NOT_KEPT,
            None,
            "Not known: the log of flips is kept for 30 days",
        ),
        (
            replace(reading(AHEAD[0], now=LATE, flips=FLIPS), log_begins=utc("2026-12-01 17:00")),
            NOON,
            None,
            Why.NOT_KEPT,
            None,
            "Not known: the log of flips begins at Tue 1 Dec 2026 17:00 Europe/Dublin (2026-12-01 17:00 UTC)",
        ),
        (reading(AHEAD[0], now=LATE), "2026-10-01 12:00", 1, Why.NOT_KEPT, None, "Not known: the log of flips"),
        (
            reading(AHEAD[0], now=LATE, flips=FLIPS),
            "2026-12-01 23:15",
            1,
            Why.OVER,
            False,
            "Not on: it closed at Tue 1 Dec 2026 23:00 ",
        ),
    ],
)
def test_each_reason_has_its_sentence(  # noqa: PLR0917 -- the columns of the table
    read: SessionReading, at: str | None, key: int | None, why: Why, is_on: bool | None, verdict: str
) -> None:
    found = explained(read, at, key=key)

    assert (found.why, found.is_on) == (why, is_on)
    assert found.verdict.startswith(verdict)


# What ended an evening a moment ago


def ended(change: str | None, cause: str = "notify", due: str = "2026-12-01 19:45") -> list[LoggedFlip]:
    return [LoggedFlip(1, False, utc(due), utc("2026-12-01 19:45"), cause, change), FLIPS[1]]


ON_UNTIL = "was on until Tue 1 Dec 2026 19:45 Europe/Dublin (2026-12-01 19:45 UTC)"
OPENS_TOMORROW = "it opens at Wed 2 Dec 2026 18:00 Europe/Dublin (2026-12-02 18:00 UTC)"
TOMORROW = row(2, "2026-12-02", "19:00", "22:00")
TOMORROWS = window(2, "2026-12-02 18:00", "2026-12-02 23:00", "ahead")


@pytest.mark.parametrize(
    ("read", "key", "verdict"),
    [
        (
            reading(
                session(row(1, "2026-12-02", "19:00", "22:00")),
                window(1, "2026-12-02 18:00", "2026-12-02 23:00", "ahead"),
                flips=ended("moved"),
            ),
            None,
            f"it {ON_UNTIL}, when an edit moved it; {OPENS_TOMORROW}",
        ),
        (
            reading(session(row(1, "2026-12-01", "14:00", "18:30"), TOMORROW), TOMORROWS, flips=ended("closed")),
            None,
            (
                f"it {ON_UNTIL}, when an edit ended it; "
                "as its row and session are now, its window closed at Tue 1 Dec 2026 19:30 Europe/Dublin "
                "(2026-12-01 19:30 UTC); what they were before is not kept"
            ),
        ),
        (
            reading(session(TOMORROW), TOMORROWS, flips=ended("deleted", "hook")),
            None,
            f"instance 1 {ON_UNTIL}, when its row was deleted; the next is instance 2: {OPENS_TOMORROW}",
        ),
        (
            reading(session(recurrence=TUESDAYS, skipped=("2026-12-01 19:00",)), flips=ended("deleted", "hook")),
            None,
            f"instance 1 {ON_UNTIL}, when somebody deleted the row of Tue 1 Dec 2026 19:00 to",
        ),
        (reading(CANCELLED, flips=ended("cancelled")), None, f"cancelled (P5); it {ON_UNTIL}"),
        (
            reading(session(tonight(cancelled=True), TOMORROW), TOMORROWS, flips=ended("cancelled")),
            2,
            f"instance 1 {ON_UNTIL}, when somebody cancelled it; the next is instance 2: {OPENS_TOMORROW}",
        ),
        # No edit: its window was over, the row is gone since, or that was long ago
        (
            reading(
                session(row(1, "2026-12-01", "15:00", "18:45"), TOMORROW),
                window(1, "2026-12-01 14:00", "2026-12-01 19:45", "over"),
                TOMORROWS,
                flips=ended("closed"),
            ),
            None,
            OPENS_TOMORROW,
        ),
        (reading(session(TOMORROW), TOMORROWS, flips=ended("closed")), None, OPENS_TOMORROW),
        (
            reading(session(tonight(), TOMORROW), TOMORROWS, now="2026-12-02 17:00", flips=ended("moved")[:1]),
            None,
            f"it {ON_UNTIL}, when an edit moved it; as its row and session are now, its window closed at",
        ),
        (
            reading(session(TOMORROW), TOMORROWS, now="2026-12-02 19:46", flips=ended("deleted")),
            2,
            "Not on, and should be until 23:00",
        ),
    ],
)
def test_what_ended_an_evening_a_moment_ago_comes_first(read: SessionReading, key: int | None, verdict: str) -> None:
    assert explained(read, key=key).verdict.removeprefix("Not on: ").startswith(verdict)


# Where the stored state is not what the rules say


def off_by_the_rules(**changes: object) -> SessionReading:
    """Tonight is cancelled, and its bit and its window are stored as before."""
    return replace(reading(CANCELLED, window(), on=1), **changes)  # type: ignore[arg-type] # any field


@pytest.mark.parametrize(
    ("read", "told"),
    [
        (
            off_by_the_rules(),
            "No pass is requested: the rows were perhaps written with the triggers off. `NOTIFY session_changed, '12'`",
        ),
        (
            off_by_the_rules(broken=("the trigger a of t is missing", "the trigger b of t is disabled")),
            "No pass is requested, perhaps because the trigger a of t is missing and the trigger b of t is disabled. ",
        ),
        (off_by_the_rules(has_daemon=False), "No daemon works: start `python -m seisiun run`"),
        (off_by_the_rules(failure="no privilege"), "The session's last pass failed: no privilege"),
        (
            off_by_the_rules(failure="no privilege", retry_at=utc("2026-12-01 20:01")),
            "The session's last pass failed: no privilege; it is tried again at Tue 1 Dec 2026 20:01 Europe/Dublin",
        ),
        (
            reading(CANCELLED, window(), on=1, requested="2026-12-01 19:59:58"),
            "A pass that writes it is requested since Tue 1 Dec 2026 19:59:58 Europe/Dublin (2026-12-01 19:59:58 UTC);",
        ),
    ],
)
def test_a_bit_that_should_not_be_on_is_told_with_what_will_happen(read: SessionReading, told: str) -> None:
    found = explained(read)

    assert found.verdict.startswith(f"On, and should not be: cancelled (P5). {told}")
    assert (found.is_on, found.why, found.agrees) == (True, Why.CANCELLED, False)
    assert texts(found, "bit")[0].endswith("; it should be off")
    assert texts(found, "pass") == ["Instance 1 turns off; the session's windows change"]


def test_that_no_pass_works_is_told_also_where_nothing_is_due() -> None:
    read = reading(AHEAD[0], window(phase="ahead"), now=NOON)

    assert texts(explained(read), "pass") == []
    assert texts(explained(replace(read, has_daemon=False)), "pass")[0].startswith("No daemon works: start ")
    assert texts(explained(replace(read, failure="no privilege")), "pass") == [
        "The session's last pass failed: no privilege"
    ]


def test_an_edge_that_nobody_has_served_is_told() -> None:
    found = explained(reading(AHEAD[0], window(phase="ahead"), now=DURING))

    assert found.verdict.startswith("Not on, and should be until 23:00: Tuesdays")
    assert found.verdict.endswith(
        "The next pass writes it; if that lasts, `python -m seisiun status` names who is in the way"
    )
    assert (found.is_on, found.why, found.agrees) == (False, Why.ON, False)
    assert texts(found, "pass") == ["Instance 1 turns on"]


def test_who_may_be_in_the_way_is_named() -> None:
    held = (
        Holder(4711, "psql", "idle in transaction", timedelta(seconds=180.4), "UPDATE session"),
        Holder(9, "", "active", HELD, "VACUUM"),
    )
    read = replace(reading(AHEAD[0], window(phase="ahead"), now=DURING), holders=held)

    assert explained(read).verdict.endswith(
        "The next pass writes it; perhaps blocked by pid 4711 (psql, idle in transaction, a transaction open for 3 "
        "minutes: UPDATE session), pid 9 (unnamed, active, a transaction open for 5.0 s: VACUUM): "
        "`SELECT pg_terminate_backend(4711), pg_terminate_backend(9)` ends them"
    )


def test_a_closing_that_nobody_has_served_is_told() -> None:
    found = explained(reading(AHEAD[0], window(), now=LATE, on=1))

    assert found.verdict.startswith("On, and should not be: over since Tue 1 Dec 2026 23:00 Europe/Dublin")
    assert (found.is_on, found.why, found.agrees) == (True, Why.OVER, False)
    assert texts(found, "pass") == ["Instance 1 turns off"]


def test_a_row_that_the_next_pass_makes_is_told() -> None:
    found = explained(reading(session(recurrence=TUESDAYS)))

    assert (found.session_instance_id, found.is_on, found.why, found.agrees) == (None, False, Why.ON, False)
    assert texts(found, "row") == ["its row is not made yet: the next pass makes it (P1)"]
    assert texts(found, "pass")[0].startswith("A row that is still to be made turns on; ")


def test_bits_that_are_not_what_their_mirror_says_are_told() -> None:
    read = reading(CANCELLED)

    found = explained(replace(read, rows={1: RowFacts(True, True, True)}))

    assert (found.is_on, found.agrees) == (True, False)
    assert texts(found, "pass")[0] == "The bits are not what their mirror says, and are written again"


def test_l2_an_instance_that_the_sweep_opened_early_is_on() -> None:
    early = reading(AHEAD[0], window(phase="open"), now="2026-12-01 17:59:30", on=1)

    found = explained(early)

    assert (found.is_on, found.why, found.agrees) == (True, Why.ON, True)
    assert found.verdict.startswith("On until 23:00")


def test_p6_windows_stay_where_the_zone_is_unknown_but_not_that_of_a_cancelled_instance() -> None:
    unknown = session(tonight(), row(2, "2026-12-02", "19:00", "22:00", cancelled=True), timezone="Mars")
    windows = (window(), window(2, "2026-12-02 18:00", "2026-12-02 23:00", "ahead"))

    found = explained(reading(unknown, *windows, on=1))

    assert found.is_on
    assert texts(found, "occurrence") == ["not known, because the zone is not"]
    assert texts(found, "hours") == ["not known"]
    assert texts(found, "window") == ["Tue 1 Dec 2026 18:00 to 23:00 UTC: open"]
    assert texts(found, "pass")[0].startswith("The session's windows change. ")


# The chain


def test_the_chain_of_an_instance() -> None:
    flips = [
        LoggedFlip(1, True, utc("2026-12-01 18:00"), utc("2026-12-01 18:00:12"), "timer", "opened", "pub:17"),
        LoggedFlip(1, False, utc("2026-12-01 17:00"), utc("2026-12-01 17:00"), "repair", "moved"),
        LoggedFlip(1, False, utc("2026-12-01 16:00"), utc("2026-12-01 16:00"), "hook", "deleted"),
    ]

    found = explained(reading(TUESDAYS_ON[0], window(), on=1, flips=flips))

    assert [(step.subject, step.text) for step in found.steps] == [
        ("pattern", "Tuesdays, 7-10pm (Europe/Dublin)"),
        ("occurrence", "Tue 1 Dec 2026 19:00 to 22:00 local"),
        ("row", "instance 1, dated 2026-12-01: the planner made it, and nobody has touched it"),
        ("hours", "Tue 1 Dec 2026 19:00 to 22:00 Europe/Dublin (Tue 1 Dec 2026 19:00 to 22:00 UTC)"),
        ("buffers", "an hour before to an hour after"),
        ("window", "Tue 1 Dec 2026 18:00 to 23:00 Europe/Dublin (Tue 1 Dec 2026 18:00 to 23:00 UTC): open"),
        ("bit", "on, as read at Tue 1 Dec 2026 20:00 Europe/Dublin (2026-12-01 20:00 UTC)"),
        (
            "flip",
            (
                "on at Tue 1 Dec 2026 18:00:12 Europe/Dublin (2026-12-01 18:00:12 UTC), "
                "due at Tue 1 Dec 2026 18:00 Europe/Dublin (2026-12-01 18:00 UTC), 12.0 s late, "
                "by a daemon's timer (pub:17)"
            ),
        ),
        (
            "flip",
            (
                "off, moved at Tue 1 Dec 2026 17:00 Europe/Dublin (2026-12-01 17:00 UTC), "
                "a repair: somebody had written the bit by hand"
            ),
        ),
        (
            "flip",
            (
                "off, deleted at Tue 1 Dec 2026 16:00 Europe/Dublin (2026-12-01 16:00 UTC), "
                "when its row was deleted while it was on"
            ),
        ),
        ("people", "nobody said yes"),
        (
            "next",
            (
                "opens next at Tue 8 Dec 2026 18:00 Europe/Dublin (2026-12-08 18:00 UTC); not planned yet: "
                "its row is made at Mon 7 Dec 2026 18:00 Europe/Dublin (2026-12-07 18:00 UTC) (P1)"
            ),
        ),
    ]


@pytest.mark.parametrize(
    ("read", "at", "told"),
    [
        (reading(session(row(1, "2026-12-01", "19:00", "22:00")), window(), on=1), None, ["nothing is ahead, in the "]),
        (reading(TWO, *TWO_WINDOWS, on=2), None, ["instance 1 opens at Tue 1 Dec 2026 21:00 "]),
        (
            reading(session(tonight(), timezone="Mars"), window(), on=1),
            None,
            ["not known: nothing is ahead in the rows"],
        ),
        (reading(session(tonight(), recurrence="at times"), window(), on=1), None, ["not known: nothing is ahead in "]),
        (reading(TUESDAYS_ON[0], window(phase="ahead"), now=NOON), None, []),
        (reading(TUESDAYS_ON[0], window(), now=DURING, on=1), NOON, []),
    ],
)
def test_it_says_what_comes_after_an_evening_that_has_opened(
    read: SessionReading, at: str | None, told: list[str]
) -> None:
    found = explained(read, at=at) if at else explained(read)

    following = [step.text for step in found.steps if step.subject == "next"]
    assert len(following) == len(told)
    assert all(text.startswith(start) for text, start in zip(following, told, strict=True))


@pytest.mark.parametrize(
    ("instance", "facts", "told"),
    [
        (tonight(), RowFacts(False, True, False), "the planner made it, and somebody has changed it"),
        (tonight(), RowFacts(False, False, False), "a person or the app made it"),
        (tonight(cancelled=True), RowFacts(False, True, True, "rain"), "nobody has touched it; cancelled, 'rain' (P5)"),
        (
            row(1, "2026-12-01", "20:00", "22:00", BOUND),
            RowFacts(False, True, False),
            "its times differ from its occurrence's, so it keeps them (P3)",
        ),
        (
            row(1, "2026-12-01", "18:00", "21:00", bound("2026-12-01 18:00", "21:00")),
            RowFacts(False, True, True),
            "it follows its occurrence to other times (P3)",
        ),
        (
            row(1, "2026-12-02", "19:00", "22:00", bound("2026-12-02 19:00", "22:00"), untouched=True),
            RowFacts(False, True, True),
            "lost (P4); nobody will miss it: the next pass deletes it, unless something refers to it (P4)",
        ),
        (
            row(1, "2026-12-02", "20:00", "22:00", bound("2026-12-02 19:00", "22:00")),
            RowFacts(False, True, False),
            "lost (P4); moved before it was lost, so it keeps its times (P3)",
        ),
    ],
)
def test_the_row_is_told_by_what_made_and_changed_it(instance: InstanceSnapshot, facts: RowFacts, told: str) -> None:
    read = replace(reading(session(instance, recurrence=TUESDAYS), now=NOON), rows={1: facts})

    assert told in texts(explained(read, key=1), "row")[0]


@pytest.mark.parametrize(
    ("instance", "told"),
    [
        (row(1, "2026-12-02", "19:00", "22:00"), "none: an extra, whose own times count (P2)"),
        (
            row(1, "2026-12-01", "19:00", "22:00"),
            "Tue 1 Dec 2026 19:00 to 22:00 local, which it takes by this plan (P2",
        ),
        (
            row(1, "2026-12-02", "19:00", "22:00", bound("2026-12-02 19:00", "22:00", lost=True)),
            "none any more: the pattern has none for it on its date (P4); its hours were Wed 2 Dec 2026 19:00 to 22:00",
        ),
    ],
)
def test_the_occurrence_is_told(instance: InstanceSnapshot, told: str) -> None:
    found = explained(reading(session(instance, recurrence=TUESDAYS), now=NOON), key=1)

    assert texts(found, "occurrence")[0].startswith(told)


def test_the_pattern_tells_its_dates_and_what_cannot_be_read() -> None:
    bounded = reading(session(recurrence=TUESDAYS, since="2026-01-01", until="2026-12-31"))
    unreadable = reading(session(tonight(), recurrence="most Tuesdays"), window(), on=1)

    assert texts(explained(bounded), "pattern") == [
        "Tuesdays, 7-10pm (Europe/Dublin), from 2026-01-01, until 2026-12-31"
    ]
    found = explained(unreadable)
    assert texts(found, "pattern")[0].startswith("cannot be read: ")
    assert found.verdict.startswith(
        "On until 23:00: Tue 1 Dec 2026 19:00 to 22:00, an hour before to an hour after. "
        "Its pattern makes and removes nothing, as it cannot be read: 'most Tuesdays' is not JSON "
    )


def test_p7_the_chain_says_who_is_on_instead() -> None:
    found = explained(reading(TWO, *TWO_WINDOWS, on=2), key=1)

    assert texts(found, "window") == [
        "Tue 1 Dec 2026 21:00 to 23:00 Europe/Dublin (Tue 1 Dec 2026 21:00 to 23:00 UTC): ahead",
        (
            "Tue 1 Dec 2026 18:00 to 21:00 Europe/Dublin (Tue 1 Dec 2026 18:00 to 21:00 UTC): instance 2 instead, "
            "because it starts later (P7); its hours are "
            "Tue 1 Dec 2026 18:00 to 21:00 Europe/Dublin (Tue 1 Dec 2026 18:00 to 21:00 UTC)"
        ),
    ]


@pytest.mark.parametrize(
    ("hours", "reason"),
    [
        (("17:00", "18:30"), "it is within its hours, and this one in a buffer"),
        (("19:30", "21:00"), "it starts later"),
        (("19:00", "21:00"), "it ends sooner"),
        (("19:00", "22:00"), "its id is lower"),
    ],
)
def test_p7_the_chain_says_by_which_part_of_the_rule(hours: tuple[str, str], reason: str) -> None:
    found = explained(reading(session(row(1, "2026-12-01", *hours), row(2, "2026-12-01", "19:00", "22:00"))), key=2)

    assert any(f" instead, because {reason} (P7); " in text for text in texts(found, "window"))


def test_when_the_session_opens_next_is_told_also_where_nothing_is_on() -> None:
    cancelled = explained(reading(session(tonight(cancelled=True), recurrence=TUESDAYS)), key=1)
    deleted = explained(reading(session(recurrence=TUESDAYS, skipped=("2026-12-01 19:00",))))
    ahead = explained(reading(session(recurrence=TUESDAYS), now="2026-12-02 12:00"))

    for found in (cancelled, deleted):
        assert texts(found, "next")[0].startswith("opens next at Tue 8 Dec 2026 18:00 Europe/Dublin")
    assert "opens next at Tue 8 Dec" in ahead.verdict
    assert texts(ahead, "next") == []


def test_in_utc_an_instant_is_told_once() -> None:
    found = explained(reading(session(tonight(), timezone="UTC", recurrence=TUESDAYS), now=NOON))

    assert found.verdict == "Not on: it opens at Tue 1 Dec 2026 18:00 UTC"
    assert texts(found, "hours") == ["Tue 1 Dec 2026 19:00 to 22:00 UTC"]


def test_what_has_no_hours_says_so() -> None:
    found = explained(reading(session(row(1, "2026-12-01"))), key=1)

    assert texts(found, "hours") == ["none: it states no start (T3)"]
    assert texts(found, "window") == ["none"]


# People


def yes(instance: int, said: str = "2026-12-01 12:00", opens: str = "2026-12-01 18:00") -> SaidYes:
    return SaidYes(instance, utc(said), utc(opens), utc("2026-12-01 23:00"), utc("2026-12-01 19:00"))


@pytest.mark.parametrize(
    ("person", "told"),
    [
        (
            PersonReading(7, 1, (yes(1, "2026-12-01 19:12"),)),
            "here: said yes at Tue 1 Dec 2026 19:12 Europe/Dublin (2026-12-01 19:12 UTC), after it opened (A2)",
        ),
        (
            PersonReading(7, None, (yes(1, "1970-01-01 00:00"),)),
            "not here, and should be: said yes before it opened (A2)",
        ),
        (
            PersonReading(7, 1, (yes(1), yes(2, "2026-12-01 19:30"))),
            (
                "here, and should not be: instance 2 decides, said yes at Tue 1 Dec 2026 19:30 Europe/Dublin "
                "(2026-12-01 19:30 UTC), after it opened (A2)"
            ),
        ),
        (
            PersonReading(7, None, (), is_deactivated=True),
            "not here: the app has deactivated them, and until it activates them again they are nowhere (A2)",
        ),
        (
            PersonReading(
                7, None, (yes(1), yes(3)), (Left(3, utc("2026-12-01 19:00")), Left(1, utc("2026-12-01 19:30")))
            ),
            "not here: they left instance 3 at Tue 1 Dec 2026 19:00 Europe/Dublin (2026-12-01 19:00 UTC) (A2)",
        ),
    ],
)
def test_a2_each_person_stands_by_the_rule_that_put_them_there(person: PersonReading, told: str) -> None:
    found = explained(reading(TUESDAYS_ON[0], window(), on=1), attendance=Attendance((person,), 1))

    assert texts(found, "people") == [f"person 7: {told}"]


def test_the_pass_that_moves_people_is_told_where_bit_and_windows_agree() -> None:
    found = explained(
        reading(TUESDAYS_ON[0], window(), on=1),
        attendance=Attendance((PersonReading(7, None, (yes(1),)),), 1, Pending(1, True)),
    )

    assert texts(found, "pass")[0].startswith(
        "No pass is requested: the rows were perhaps written with the triggers off"
    )


def test_people_beyond_the_bound_are_counted_and_of_another_instant_nothing_is_told() -> None:
    read = reading(TUESDAYS_ON[0], window(), on=1)

    assert texts(explained(read, attendance=Attendance((), 3)), "people") == ["3 more said yes"]
    assert texts(explained(read, "2026-12-01 20:30", attendance=Attendance((), 3)), "people") == []


def test_a_row_whose_whole_window_lies_ahead_of_no_buffer() -> None:
    found = explained(reading(session(tonight(), recurrence=TUESDAYS, before=0, after=30), now=NOON), key=1)

    assert texts(found, "buffers") == ["no time before to 30 minutes after"]


def test_an_instance_that_lasts_past_midnight_closes_on_another_date() -> None:
    late = session(row(1, "2026-12-01", "21:00", "01:00"))
    read = reading(late, window(closes="2026-12-02 02:00", opens="2026-12-01 20:00"), on=1)

    assert explained(read).verdict.startswith(
        "On until Wed 2 Dec 2026 02:00: Tue 1 Dec 2026 21:00 to Wed 2 Dec 2026 01:00,"
    )


def test_how_long_flips_were_late_is_told_in_a_unit_that_fits() -> None:
    minutes = [1, 90, 60, 120, 1440, 30 * 1440]
    told = ["a minute", "90 minutes", "an hour", "2 hours", "a day", "30 days"]
    assert [length(timedelta(minutes=one)) for one in minutes] == told
    assert length(timedelta(milliseconds=8)) == "8 ms"
