"""The organiser's form: what it tells after saving."""

from datetime import date

import pytest

from core.active_session_manager import LeftBehind
from web.edit import _left_behind

THURSDAY = date(2026, 11, 26)


@pytest.mark.parametrize(
    ("evening", "told"),
    [
        (LeftBehind(1, THURSDAY, 0, is_deleted=True), "Nobody had answered it or changed it, so it was removed."),
        (LeftBehind(1, THURSDAY, 0, is_deleted=False), "Nobody said yes to it. It stays on the list"),
        (LeftBehind(1, THURSDAY, 1, is_deleted=False), "1 person said yes to it. It stays on the list"),
        (LeftBehind(1, THURSDAY, 3, is_deleted=False), "3 people said yes to it. It stays on the list"),
    ],
    ids=["deleted", "touched", "one yes", "three"],
)
def test_a_date_that_a_new_pattern_leaves_behind_is_named_with_what_becomes_of_it(
    evening: LeftBehind, told: str
) -> None:
    notice = _left_behind(evening)

    assert notice.startswith("Thursday 26 November no longer fits the pattern. ")
    assert told in notice
