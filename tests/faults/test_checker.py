"""The checker finds what it is there to find: hand-written histories, each with one thing wrong or nothing."""

import pytest

from tests.faults.book import ALWAYS
from tests.faults.checker import DELETED, Fault, Flip, History, Logged, check, recoveries, two_at_once
from tests.faults.truth import Version, Window

ON, OFF = True, False
TEN = [Version(0, 0, Window(10, 20))]
I = "instance 1"  # noqa: E741 - the subject of nearly every history


def flip(active: bool, at: float, *, begun: float | None = None, by: str = "seisiun daemon", of: str = I) -> Flip:
    return Flip(of, active, at if begun is None else begun, at, by)


def kinds(
    versions: list[Version],
    flips: list[Flip],
    *faults: Fault,
    log: list[Logged] | None = None,
    passes: tuple[float, ...] = (),
    until: float = 100,
) -> list[str]:
    told = [Logged(f.subject, f.active, f.committed_at) for f in flips] if log is None else log
    verdict = check(History({I: versions}, flips, told, faults, passes, until))
    return [finding.kind for finding in verdict.findings]


def test_what_is_on_time_is_right() -> None:
    assert kinds(TEN, [flip(ON, 10.01), flip(OFF, 20.01)]) == []


def test_a_window_that_never_opened_is_missed() -> None:
    assert kinds(TEN, []) == ["missed"]


def test_an_instance_that_never_closed_is_missed() -> None:
    assert kinds(TEN, [flip(ON, 10.01)]) == ["missed"]


def test_an_opening_that_is_not_due_yet_at_the_end_is_not_missed() -> None:
    assert kinds(TEN, [], until=11) == []


@pytest.mark.parametrize("by", [0.001, 5])
def test_what_is_on_before_its_time_is_early(by: float) -> None:
    assert kinds(TEN, [flip(ON, 10 - by), flip(OFF, 20.01)]) == ["early"]


def test_what_is_off_before_its_time_is_early() -> None:
    assert kinds(TEN, [flip(ON, 10.01), flip(OFF, 19.99)]) == ["early"]


def test_the_sweep_may_be_a_minute_early_when_no_daemon_reconciled() -> None:
    versions, flips = [Version(0, 0, Window(100, 110))], [flip(ON, 45, by="seisiun sweep"), flip(OFF, 110.01)]

    assert kinds(versions, flips, until=200) == []
    assert kinds(versions, flips, passes=(20,), until=200) == ["early"]


def test_only_the_sweep_may_be_early_and_only_by_a_minute() -> None:
    versions = [Version(0, 0, Window(100, 110))]

    assert kinds(versions, [flip(ON, 39, by="seisiun sweep"), flip(OFF, 110.01)], until=200) == ["early"]
    assert kinds(versions, [flip(ON, 45), flip(OFF, 110.01)], until=200) == ["early"]


def test_what_takes_longer_than_the_promise_is_late() -> None:
    assert kinds(TEN, [flip(ON, 12.1), flip(OFF, 20.01)]) == ["late"]
    assert kinds(TEN, [flip(ON, 10.01), flip(OFF, 22.1)]) == ["late"]


def test_a_fault_puts_off_what_is_due_until_it_is_over_and_made_good() -> None:
    fault = Fault("a pause", 9, 13, bound=1)

    assert kinds(TEN, [flip(ON, 13.9), flip(OFF, 20.01)], fault) == []
    assert kinds(TEN, [flip(ON, 14.1), flip(OFF, 20.01)], fault) == ["late"]


def test_a_fault_that_follows_upon_another_puts_off_further() -> None:
    faults = Fault("a pause", 9, 13, bound=1), Fault("a kill", 13.5, 14, bound=1)

    assert kinds(TEN, [flip(ON, 14.9), flip(OFF, 20.01)], *faults) == []


def test_a_fault_that_concerns_others_excuses_nothing() -> None:
    fault = Fault("poison", 9, 13, subjects=frozenset({"instance 2"}))

    assert kinds(TEN, [flip(ON, 13.9), flip(OFF, 20.01)], fault) == ["late"]


def test_a_fault_long_before_excuses_nothing() -> None:
    assert kinds(TEN, [flip(ON, 13), flip(OFF, 20.01)], Fault("a kill", 5, 6, bound=2)) == ["late"]


def test_a_window_wholly_within_a_fault_may_stay_closed() -> None:
    assert kinds(TEN, [], Fault("a pause", 10.2, 19, bound=2)) == []


def test_a_window_that_outlasts_a_fault_may_not() -> None:
    assert kinds(TEN, [], Fault("a pause", 10.2, 17, bound=2)) == ["missed"]
    assert kinds(TEN, [], Fault("a pause", 10.4, 19, bound=2)) == ["missed"]


def test_the_same_flip_twice_is_doubled() -> None:
    assert kinds(TEN, [flip(ON, 10.01), flip(ON, 10.02), flip(OFF, 20.01)]) == ["doubled"]


def test_a_log_with_a_row_too_many_is_doubled() -> None:
    log = [Logged(I, ON, 10.01), Logged(I, ON, 10.01), Logged(I, OFF, 20.01)]

    assert kinds(TEN, [flip(ON, 10.01), flip(OFF, 20.01)], log=log) == ["doubled"]


def test_a_log_that_lacks_a_flip_is_found() -> None:
    assert kinds(TEN, [flip(ON, 10.01), flip(OFF, 20.01)], log=[Logged(I, ON, 10.01)]) == ["doubled"]


def test_a_log_of_what_never_happened_is_found() -> None:
    assert kinds([], [], log=[Logged(I, ON, 10.01)]) == ["doubled"]


def test_what_nobody_asked_for_is_extra() -> None:
    assert kinds([], [flip(ON, 10.01), flip(OFF, 11)]) == ["extra"]


def test_flapping_is_extra() -> None:
    flips = [flip(ON, 10.01), flip(OFF, 12), flip(ON, 12.1), flip(OFF, 20.01)]

    assert kinds(TEN, flips) == ["extra"]


def test_a_flip_is_judged_by_what_its_transaction_could_read() -> None:
    """The window closes between the pass's reading and its commit; the next pass closes the instance."""
    flips = [flip(ON, 20.3, begun=19.9), flip(OFF, 20.6)]

    assert kinds(TEN, flips, Fault("a pause", 9, 19.9)) == []
    assert kinds(TEN, [flip(ON, 20.3), flip(OFF, 20.6)], Fault("a pause", 9, 19.9)) == ["extra"]


@pytest.mark.parametrize(
    ("said", "went", "left_at", "found"),
    [
        (20.02, 20.1, 20.2, []),  # while the instance was on still, by a pass that began before it closed
        (20.02, 20.1, 23.0, ["late"]),
        (20.02, 20.35, 20.4, ["extra"]),  # it was off
        (20.15, 20.1, 20.2, ["extra"]),  # they had not said it yet
    ],
)
def test_a_person_who_said_yes_may_go_to_an_instance_that_is_on_still(
    said: float, went: float, left_at: float, found: list[str]
) -> None:
    person = "person 7 at 1"
    flips = [
        flip(ON, 10.01),
        flip(OFF, 20.3),
        flip(ON, went, begun=went - 0.1, of=person),
        flip(OFF, left_at, of=person),
    ]
    versions = {I: TEN, person: [Version(0, 0, None)]}
    yeses = {person: [Version(said, said, ALWAYS)]}
    log = [Logged(I, ON, 10.01), Logged(I, OFF, 20.3)]

    verdict = check(History(versions, flips, log, until=100, yeses=yeses))

    assert [finding.kind for finding in verdict.findings] == found


def test_while_an_edit_is_under_way_either_is_right() -> None:
    cancelled = [*TEN, Version(15, 16, None)]

    assert kinds(cancelled, [flip(ON, 10.01), flip(OFF, 15.01)]) == []
    assert kinds(cancelled, [flip(ON, 10.01), flip(OFF, 16.3)]) == []
    assert kinds(cancelled, [flip(ON, 10.01), flip(OFF, 14.9)]) == ["early"]
    assert kinds(cancelled, [flip(ON, 10.01), flip(OFF, 18.1)]) == ["late"]
    assert kinds(cancelled, [flip(ON, 10.01)]) == ["missed"]


def test_an_edit_that_makes_it_on_takes_effect() -> None:
    moved = [Version(0, 0, Window(50, 60)), Version(20, 20.1, Window(15, 30))]

    assert kinds(moved, [flip(ON, 20.2), flip(OFF, 30.01)]) == []
    assert kinds(moved, []) == ["missed"]


def test_what_is_to_be_on_for_less_than_the_bound_may_be_skipped() -> None:
    assert kinds([Version(0, 0, Window(10, 11.9))], []) == []
    assert kinds([Version(0, 0, Window(10, 12.1))], []) == ["missed"]
    assert kinds([*TEN, Version(11.4, 11.5, None)], []) == []
    assert kinds([*TEN, Version(12.4, 12.5, None)], []) == ["missed"]


def test_what_is_on_may_stay_on_when_it_is_moved_to_open_within_a_minute() -> None:
    moved = [*TEN, Version(15, 15.1, Window(40, 50))]

    assert kinds(moved, [flip(ON, 10.01), flip(OFF, 50.01)]) == []
    assert kinds(moved, [flip(ON, 10.01), flip(OFF, 15.2), flip(ON, 40.01), flip(OFF, 50.01)]) == []
    assert kinds(moved, [flip(ON, 10.01), flip(OFF, 15.2), flip(ON, 39.9), flip(OFF, 50.01)]) == ["early"]


def test_what_is_on_may_not_stay_on_when_it_is_moved_far() -> None:
    moved = [*TEN, Version(15, 15.1, Window(90, 95))]

    assert kinds(moved, [flip(ON, 10.01), flip(OFF, 95.01)]) == ["missed"]


def test_a_deletion_of_what_is_on_is_in_the_log_too() -> None:
    versions = [*TEN, Version(15, 15.1, None)]

    deleted = [flip(ON, 10.01), flip(OFF, 15.05, by=DELETED)]
    assert kinds(versions, deleted) == []
    assert kinds(versions, deleted, log=[Logged(I, ON, 10.01)]) == ["doubled"]  # the log leaves the deletion out


def test_two_instances_of_a_session_at_once_are_found() -> None:
    here, there = flip(ON, 1), flip(ON, 2, of="instance 2")

    assert [f.kind for f in two_at_once([(7, here), (7, there)])] == ["extra"]
    assert two_at_once([(7, here), (7, flip(OFF, 2)), (7, there), (8, here)]) == []


def test_the_lateness_of_each_reaction_and_each_recovery_is_measured() -> None:
    fault = Fault("a pause", 9, 13)
    verdict = check(History({I: TEN}, [flip(ON, 13.5), flip(OFF, 20.25)], faults=[fault], until=100))

    assert [(r.active, r.seconds, len(r.faults)) for r in verdict.reactions] == [(ON, 3.5, 1), (OFF, 0.25, 0)]
    assert recoveries(verdict) == {"a pause": [0.5]}
