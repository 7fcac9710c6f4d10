"""The daemon's tick: each second, and behind an edge that is near."""

from itertools import pairwise

from scheduler.tick import MOST_PUT_OFF, NEAR_SECONDS, TICK_SECONDS, Tick


def test_it_is_due_at_once_and_then_each_second() -> None:
    tick = Tick()

    assert tick.is_due(100.0, edge_is_near=False)
    assert not tick.is_due(100.0, edge_is_near=False)
    assert not tick.is_due(100.0 + TICK_SECONDS - 0.001, edge_is_near=False)
    assert tick.is_due(tick.next_at, edge_is_near=False)
    assert tick.next_at == 100.0 + 2 * TICK_SECONDS


def test_it_lets_an_edge_pass() -> None:
    tick = Tick()

    assert not tick.is_due(100.0, edge_is_near=True)
    assert tick.next_at == 100.0 + NEAR_SECONDS
    assert not tick.is_due(100.0 + NEAR_SECONDS / 2, edge_is_near=False)
    assert tick.is_due(100.0 + NEAR_SECONDS, edge_is_near=False)


def test_edge_upon_edge_holds_it_up_for_a_quarter_of_a_second_each_time() -> None:
    tick, now, ticked = Tick(), 100.0, []
    while now < 103.0:
        if tick.is_due(now, edge_is_near=True):
            ticked.append(now)
        now = max(now + 0.001, tick.next_at)

    apart = [round(later - earlier, 6) for earlier, later in pairwise(ticked)]
    assert apart == [TICK_SECONDS + MOST_PUT_OFF * NEAR_SECONDS] * 2


def test_one_that_was_asked_for_lets_no_edge_pass() -> None:
    tick = Tick()
    assert tick.is_due(100.0, edge_is_near=False)
    tick.at_once()
    assert tick.is_due(100.1, edge_is_near=True)
    assert not tick.is_due(101.1, edge_is_near=True)
