"""The worker's agenda, as tables of cases: what is pending, what comes next, when to wake."""

from collections.abc import Collection
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest

from core.store.queue.due import Reason, Search
from scheduler.daemon.agenda import (
    EDGES,
    EVERYTHING,
    GIVE_WAY_SECONDS,
    NEAR_SECONDS,
    NOTIFICATIONS,
    POLL,
    POLL_SECONDS,
    PRUNE_SECONDS,
    RESYNC,
    START,
    TICK_SECONDS,
    TIMER_SECONDS,
    Agenda,
    Task,
    Tick,
)
from scheduler.daemon.wakeups import Wakeup

NOON = datetime(2026, 12, 1, 12, tzinfo=UTC)
NOW = 1000.0
RESYNC_SECONDS = 30.0
NOTHING = Wakeup(edge=None, notification=False, resync=False)
EDGE = Wakeup(edge=NOON, notification=False, resync=False)
NOTIFICATION = Wakeup(edge=None, notification=True, resync=False)
RESYNCED = Wakeup(edge=None, notification=False, resync=True)
ALL = Wakeup(edge=NOON, notification=True, resync=True)


def idle() -> Agenda:
    """An agenda that has started, resynced and ticked at NOW, and has nothing to do."""
    agenda = Agenda(RESYNC_SECONDS)
    agenda.is_ready = True
    for task in (START, RESYNC):
        agenda.finish(task, NOW)
    assert agenda.tick.is_due(NOW)
    return agenda


def drained(agenda: Agenda, now: float = NOW) -> list[Task]:
    """Return the pending tasks in the order in which the worker does them."""
    tasks = []
    while task := agenda.next_task():
        tasks.append(task)
        agenda.finish(task, now)
    return tasks


@pytest.mark.parametrize(
    ("wakeup", "pending"),
    [
        (NOTHING, []),
        (EDGE, [EDGES]),
        (NOTIFICATION, [NOTIFICATIONS]),
        (RESYNCED, [RESYNC]),
        (ALL, [EDGES, NOTIFICATIONS, RESYNC]),
    ],
    ids=["nothing", "an edge", "a notification", "a resync", "all at once"],
)
def test_a_wakeup_makes_its_task_pending_and_the_most_urgent_comes_first(wakeup: Wakeup, pending: list[Task]) -> None:
    agenda = idle()

    agenda.take(wakeup, NOW, is_receiving=True)

    assert drained(agenda) == pending


def test_a_task_searches_for_its_own_reasons_and_leaves_out_what_is_backed_off() -> None:
    assert RESYNC.search(frozenset({7})) == Search(frozenset(Reason), timedelta(seconds=1), frozenset({7}))
    assert EDGES.search(frozenset()) == Search(frozenset({Reason.EDGE}))


def test_the_start_comes_before_everything_else() -> None:
    agenda = Agenda(RESYNC_SECONDS)
    agenda.take(ALL, NOW, is_receiving=True)

    assert drained(agenda) == [START, EDGES, NOTIFICATIONS, RESYNC]


@pytest.mark.parametrize(("is_ready", "pending"), [(False, {START}), (True, EVERYTHING)])
def test_after_a_reconnect_everything_is_pending(pending: Collection[Task], *, is_ready: bool) -> None:
    agenda = Agenda(RESYNC_SECONDS)
    drained(agenda)
    agenda.is_ready = is_ready
    assert agenda.tick.is_due(NOW)
    assert not agenda.tick.is_due(NOW)

    agenda.restart()

    assert set(drained(agenda)) == set(pending)
    assert agenda.tick.is_due(NOW)


@pytest.mark.parametrize(
    ("later", "pending"), [(RESYNC_SECONDS - 0.001, []), (RESYNC_SECONDS, [RESYNC])], ids=["before", "at"]
)
def test_a_resync_comes_so_long_after_the_last_one(later: float, pending: list[Task]) -> None:
    agenda = idle()

    agenda.take(NOTHING, NOW + later, is_receiving=True)

    assert drained(agenda) == pending


@pytest.mark.parametrize(
    ("is_receiving", "pending"), [(True, [EDGES, NOTIFICATIONS]), (False, [EDGES, POLL])], ids=["receiving", "not"]
)
def test_a_deferred_session_is_tried_again_when_its_pause_is_over(pending: list[Task], *, is_receiving: bool) -> None:
    agenda = idle()
    agenda.note_round(EDGES, sessions={1, 2}, deferred={2}, now=NOW)
    assert agenda.backoff.waiting(NOW) == {2}

    agenda.take(NOTHING, NOW + 0.049, is_receiving=is_receiving)
    assert drained(agenda) == []
    agenda.take(NOTHING, NOW + 0.05, is_receiving=is_receiving)

    assert drained(agenda) == pending


def test_a_failed_session_is_tried_again_when_its_retry_is_due() -> None:
    agenda = idle()
    agenda.retry_in(timedelta(seconds=2), NOW)

    agenda.take(NOTHING, NOW + 1.9, is_receiving=True)
    assert drained(agenda) == []
    agenda.take(NOTHING, NOW + 2, is_receiving=True)
    assert set(drained(agenda)) == EVERYTHING
    agenda.take(NOTHING, NOW + 2, is_receiving=True)
    assert drained(agenda) == []


@pytest.mark.parametrize("task", [EDGES, RESYNC, START], ids=lambda task: task.cause)
def test_a_session_that_a_task_finds_again_after_finishing_it_is_backed_off(task: Task) -> None:
    agenda = idle()

    agenda.note_round(task, sessions={1}, deferred=(), now=NOW)
    assert agenda.backoff.waiting(NOW) == frozenset()
    agenda.note_round(task, sessions={1, 2}, deferred=(), now=NOW)

    assert agenda.backoff.waiting(NOW) == {1}
    agenda.finish(task, NOW)
    agenda.note_round(task, sessions={2}, deferred=(), now=NOW)
    assert agenda.backoff.waiting(NOW) == {1}


@pytest.mark.parametrize("task", [NOTIFICATIONS, POLL], ids=["notifications", "poll"])
def test_a_session_that_is_requested_again_and_again_is_served(task: Task) -> None:
    agenda = idle()
    for _ in range(3):
        agenda.note_round(task, sessions={1}, deferred=(), now=NOW)

    assert agenda.backoff.waiting(NOW) == frozenset()


def test_a_session_that_a_notification_named_is_planned_until_it_is_finished() -> None:
    agenda = idle()
    named = Wakeup(edge=None, notification=True, resync=False, notified=frozenset({1, 2, 3}))
    agenda.take(named, NOW, is_receiving=True)
    assert agenda.notified(NOTIFICATIONS) == {1, 2, 3}
    assert agenda.notified(EDGES) == frozenset()

    agenda.note_round(NOTIFICATIONS, sessions={1, 2}, deferred={2}, now=NOW)
    assert agenda.notified(NOTIFICATIONS) == {2, 3}
    agenda.finish(NOTIFICATIONS, NOW)

    assert agenda.notified(NOTIFICATIONS) == {2}, "the third does not exist"


def test_of_several_edges_the_latest_is_taken_and_taken_once() -> None:
    agenda = idle()
    for minutes in (1, 3, 2):
        edge = NOON + timedelta(minutes=minutes)
        agenda.take(Wakeup(edge=edge, notification=False, resync=False), NOW, is_receiving=True)

    assert agenda.next_task() == EDGES
    assert agenda.take_edge() == NOON + timedelta(minutes=3)
    assert agenda.take_edge() is None


def test_it_sleeps_until_the_first_of_what_is_to_come() -> None:
    agenda = idle()
    assert agenda.idle_seconds(NOW) == pytest.approx(TICK_SECONDS)

    agenda.retry_in(timedelta(seconds=0.5), NOW)
    assert agenda.idle_seconds(NOW) == pytest.approx(0.5)
    agenda.backoff.add([1], NOW)
    assert agenda.idle_seconds(NOW) == pytest.approx(0.05)
    assert agenda.idle_seconds(NOW + 60) == 0
    agenda.add(RESYNC)
    assert agenda.idle_seconds(NOW) == 0


def test_a_retry_that_is_no_longer_there_wakes_nobody() -> None:
    agenda = idle()
    agenda.retry_in(timedelta(seconds=0.5), NOW)
    agenda.retry_in(None, NOW)

    assert agenda.idle_seconds(NOW) == pytest.approx(TICK_SECONDS)


def test_history_is_pruned_once_an_hour_and_not_before_the_daemon_is_ready() -> None:
    agenda = Agenda(RESYNC_SECONDS)
    assert not agenda.prune_is_due(NOW)
    agenda.is_ready = True

    assert agenda.prune_is_due(NOW)
    assert not agenda.prune_is_due(NOW + PRUNE_SECONDS - 1)
    assert agenda.prune_is_due(NOW + PRUNE_SECONDS)


# The tick


def test_it_is_due_at_once_and_then_each_second() -> None:
    tick = Tick()

    assert tick.is_due(100.0)
    assert not tick.is_due(100.0)
    assert not tick.is_due(100.0 + TICK_SECONDS - 0.001)
    assert tick.is_due(tick.next_at)
    assert tick.next_at == 100.0 + 2 * TICK_SECONDS


# Giving way to edges


@pytest.mark.parametrize("task", [NOTIFICATIONS, POLL, RESYNC])
@pytest.mark.parametrize("to_edge", [-0.9 * NEAR_SECONDS, 0.0, 0.9 * NEAR_SECONDS])
def test_while_an_edge_is_near_all_else_waits_for_it(task: Task, to_edge: float) -> None:
    agenda = idle()
    agenda.add(task)

    agenda.note_edge(to_edge, NOW)
    assert agenda.next_task() is None
    assert agenda.idle_seconds(NOW) == pytest.approx(max(to_edge, TIMER_SECONDS))

    agenda.take(EDGE, NOW, is_receiving=True)
    assert agenda.idle_seconds(NOW) == 0
    assert agenda.next_task() == EDGES

    agenda.finish(EDGES, NOW)
    agenda.note_edge(3600.0, NOW)
    assert not agenda.gives_way
    assert agenda.idle_seconds(NOW) == 0
    assert agenda.next_task() == task


def test_an_edge_that_is_near_is_prepared_once_and_only_where_nothing_else_is_to_be_done_first() -> None:
    agenda = idle()
    agenda.note_edge(2 * NEAR_SECONDS, NOW)
    assert agenda.idle_seconds(NOW) == pytest.approx(NEAR_SECONDS), "it wakes when the edge is near"
    assert not agenda.take_ahead(NOON)

    agenda.note_edge(NEAR_SECONDS / 2, NOW)
    assert agenda.take_ahead(NOON)
    assert not agenda.take_ahead(NOON)

    later = NOON + timedelta(milliseconds=1)
    agenda.add(EDGES)
    assert not agenda.take_ahead(later), "an edge that has come is first"
    agenda.finish(EDGES, NOW)
    assert agenda.take_ahead(later)


def test_an_edge_that_has_come_is_its_timers() -> None:
    agenda = idle()

    agenda.note_edge(-0.001, NOW)

    assert agenda.gives_way
    assert not agenda.take_ahead(NOON)


@pytest.mark.parametrize("to_edge", [None, -2 * NEAR_SECONDS, NEAR_SECONDS, 2 * NEAR_SECONDS])
def test_nothing_waits_for_an_edge_that_is_not_near(to_edge: float | None) -> None:
    agenda = idle()
    agenda.add(RESYNC)

    agenda.note_edge(to_edge, NOW)

    assert not agenda.gives_way
    assert agenda.next_task() == RESYNC


def test_no_sleep_is_longer_because_an_edge_was_pending() -> None:
    agenda = idle()
    agenda.take(EDGE, NOW, is_receiving=True)
    agenda.add(NOTIFICATIONS)
    agenda.note_edge(3600.0, NOW)
    assert agenda.gives_way

    agenda.finish(EDGES, NOW)

    assert agenda.idle_seconds(NOW) == 0


def test_edge_upon_edge_holds_up_the_others_for_a_while_and_then_they_have_a_turn() -> None:
    agenda, now, turns = idle(), NOW, []
    while now < NOW + 1:
        agenda.take(EDGE, now, is_receiving=True)
        agenda.note_edge(0.0, now)
        if not agenda.gives_way:
            turns.append(now)
        now += 0.001

    apart = [later - earlier for earlier, later in pairwise([NOW, *turns])]
    assert len(turns) == 9
    assert all(GIVE_WAY_SECONDS <= gap < GIVE_WAY_SECONDS + 0.002 for gap in apart)


def test_the_others_give_way_for_a_stated_time_and_nobody_sleeps_beyond_the_edge() -> None:
    agenda = idle()
    agenda.note_edge(0.0, 0.0)
    assert agenda.gives_way
    assert agenda.idle_seconds(1.0) == 0

    agenda.note_edge(0.0, GIVE_WAY_SECONDS)
    assert not agenda.gives_way


def test_a_deferred_session_that_a_round_finishes_waits_no_longer() -> None:
    agenda = idle()
    agenda.note_round(NOTIFICATIONS, sessions={1}, deferred={1}, now=NOW)
    assert agenda.backoff.waiting(NOW) == {1}

    agenda.note_round(NOTIFICATIONS, sessions={1}, deferred=(), now=NOW)

    assert agenda.backoff.waiting(NOW) == frozenset()


def test_another_task_that_is_finished_puts_off_no_resync_and_forgets_nothing_notified() -> None:
    agenda = idle()
    named = Wakeup(edge=None, notification=True, resync=False, notified=frozenset({1}))
    agenda.take(named, NOW, is_receiving=True)

    agenda.finish(EDGES, NOW + RESYNC_SECONDS / 2)
    assert agenda.notified(NOTIFICATIONS) == {1}
    agenda.finish(NOTIFICATIONS, NOW + RESYNC_SECONDS / 2)
    agenda.take(NOTHING, NOW + RESYNC_SECONDS, is_receiving=True)

    assert drained(agenda) == [RESYNC]


def test_it_asks_for_requests_at_the_instant_that_it_sleeps_until() -> None:
    agenda = idle()
    agenda.poll(0.0, on=True)

    assert agenda._next_poll is not None
    assert agenda.poll_is_due(agenda._next_poll)


def test_the_start_gives_way_to_nothing() -> None:
    agenda = Agenda(RESYNC_SECONDS)
    agenda.take(EDGE, NOW, is_receiving=True)

    agenda.note_edge(0.0, NOW)

    assert agenda.next_task() == START


def test_a_tick_that_was_asked_for_is_due_at_once() -> None:
    tick = Tick()
    assert tick.is_due(100.0)
    tick.at_once()

    assert tick.is_due(100.1)
    assert not tick.is_due(100.2)


# Asking for requests, where the app does not notify


def test_it_asks_for_requests_at_a_phase_of_its_own_and_not_while_they_are_read() -> None:
    phases = set()
    for _ in range(20):
        agenda = idle()
        agenda.poll(NOW, on=True)
        phases.add(agenda.idle_seconds(NOW))
    assert len(phases) == 20
    assert all(0 <= phase <= POLL_SECONDS for phase in phases)

    now = NOW + POLL_SECONDS
    agenda.poll(now, on=True)
    assert agenda.poll_is_due(now)
    assert not agenda.poll_is_due(now + 0.9 * POLL_SECONDS)
    assert agenda.idle_seconds(now) == pytest.approx(POLL_SECONDS)
    agenda.add(NOTIFICATIONS)
    assert not agenda.poll_is_due(now + POLL_SECONDS)
    agenda.finish(NOTIFICATIONS, now)
    assert agenda.poll_is_due(now + 2 * POLL_SECONDS)


def test_it_ends_asking_when_the_app_notifies_again() -> None:
    agenda = idle()
    agenda.poll(NOW, on=True)
    agenda.poll(NOW, on=False)
    assert not agenda.poll_is_due(NOW + 1)
    assert agenda.idle_seconds(NOW) > POLL_SECONDS
