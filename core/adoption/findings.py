"""One thing that one should know before our schema is added, in plain words, with the rows that it is about."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Row:
    """A row of the app's, by its table and id, or a thing by its name alone; and what we say of it."""

    about: int | str
    says: str
    table: str = ""

    def __str__(self) -> str:
        """Return the row as a line."""
        return f"{self.table} {self.about}: {self.says}".lstrip()


@dataclass(frozen=True, slots=True)
class Finding:
    """`kind`: a stable word for programs; `what`: what was found; `then`: what follows from it, or what to do."""

    kind: str
    what: str
    then: str
    rows: tuple[Row, ...]

    def __str__(self) -> str:
        """Return the finding as a sentence, with the number of its rows."""
        return f"{self.what}: {len(self.rows)}" + (f". {self.then}" if self.then else "")


def found(kind: str, what: str, rows: list[Row], then: str = "") -> list[Finding]:
    """Return the finding; nothing if there are no rows."""
    return [Finding(kind, what, then, tuple(rows))] if rows else []
