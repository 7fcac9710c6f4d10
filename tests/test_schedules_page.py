from tests.schedules_page import PAGE, page


def test_the_page_of_real_schedules_is_what_the_code_yields_today() -> None:
    """If this fails, run `python -m tests.schedules_page` and read what has changed."""
    assert page() == PAGE.read_text(encoding="utf-8")
