"""One thing that one should know before our schema is added, in plain words, with the rows that it is about."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Row:
    """A row of the app's, or a thing in the catalogue: its id or its name, and what is to be said of it."""

    about: int | str
    says: str


@dataclass(frozen=True, slots=True)
class Finding:
    """`kind`: a stable word for programs; `says`: a sentence for people."""

    kind: str
    says: str
    rows: tuple[Row, ...] = ()


def found(kind: str, says: str, rows: list[Row]) -> list[Finding]:
    """Return the finding, with the number of its rows before the sentence; nothing if there are no rows."""
    return [Finding(kind, f"{len(rows)} {says}", tuple(rows))] if rows else []
