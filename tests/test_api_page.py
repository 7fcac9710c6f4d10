import seisiun
from tests.api_page import PAGE, SECTIONS, page


def test_the_reference_is_what_the_docstrings_say_today() -> None:
    """If this fails, run `make api` and read what has changed."""
    assert page() == PAGE.read_text(encoding="utf-8")


def test_the_reference_tells_of_each_name_once() -> None:
    told = [name for names in SECTIONS.values() for name in names]

    assert sorted(told) == sorted({*seisiun.__all__} - {"__version__"})
