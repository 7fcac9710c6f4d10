"""The draw: a seed reproduces it, it sees every kind of fault, and it ends in time."""

from itertools import pairwise

from tests.faults.draw import LENGTHS, draw
from tests.faults.nemesis import KINDS as NEMESIS_KINDS

KINDS = set(LENGTHS)


def test_a_seed_reproduces_its_draw() -> None:
    assert draw(7, 600) == draw(7, 600)
    assert draw(7, 600) != draw(8, 600)


def test_a_long_draw_sees_every_kind() -> None:
    assert {fault.kind for fault in draw(7, 600)} == KINDS


def test_a_few_short_draws_see_every_kind() -> None:
    assert {fault.kind for seed in range(10) for fault in draw(seed, 33)} == KINDS


def test_the_nemesis_knows_every_kind() -> None:
    assert {fault.kind for fault in draw(7, 600)} <= KINDS == set(NEMESIS_KINDS)


def test_what_a_machine_cannot_do_is_left_out() -> None:
    assert "set the clock" not in {fault.kind for fault in draw(7, 600, without=["set the clock"])}


def test_faults_follow_each_other_and_end_in_time() -> None:
    planned = draw(7, 600)

    assert all(before.at + before.seconds < after.at for before, after in pairwise(planned))
    assert planned[-1].at + planned[-1].seconds <= 600
