"""Small mistakes in a recurrence: warnings in stored text, errors in text that somebody is about to save."""

from core.errors import InvalidRecurrence


class Leniency:
    """Collects warnings about what is odd but can mean only one thing; if strict, it refuses that."""

    def __init__(self, *, strict: bool) -> None:
        self.warnings: list[str] = []
        self._strict = strict

    def forgive(self, problem: str) -> None:
        """Keep the problem as a warning. Raises InvalidRecurrence if strict."""
        if self._strict:
            raise InvalidRecurrence(problem)
        self.warnings.append(problem)
