"""The README's code, as somebody copies it into their app."""

import re

from tests.commands import ROOT

README = ROOT / "README.md"


def code(heading: str) -> str:
    """Return the first Python code below a heading."""
    section = README.read_text(encoding="utf-8").split(f"{heading}\n")[1]
    found = re.search(r"```python\n(.*?)```", section, re.DOTALL)
    assert found
    return found[1]


def hooks() -> str:
    """Return the app's code that saves a recurrence and a yes."""
    return code("## In your app")


def pages() -> str:
    """Return the app that mounts the pages."""
    return code("### Mount it in your app")
