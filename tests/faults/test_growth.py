from tests.faults.growth import Use, grown

FLAT = [Use(80 + number % 3, 20 + number % 2, 5, 3) for number in range(90)]


def test_what_wobbles_has_not_grown() -> None:
    assert grown(FLAT) == []


def test_what_grows_while_it_warms_up_has_not_grown() -> None:
    assert grown([Use(30 + number, 20, 5, 3) for number in range(30)] + FLAT[:60]) == []


def test_what_goes_on_growing_is_found() -> None:
    assert grown([Use(80 + number, 20, 5, 3) for number in range(90)]) == ["memory_mb grew from 124.5 to 154.5"]


def test_a_connection_that_is_left_behind_again_and_again_is_found() -> None:
    assert grown([Use(80, 20, 5, 3 + number // 10) for number in range(90)]) == ["connections grew from 7 to 10"]
