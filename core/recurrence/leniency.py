"""What both readers of recurrences forgive in stored text, and refuse in text that somebody is about to save."""

from core.errors import InvalidRecurrence


class Leniency:
    """Forgives what is odd but can mean only one thing, and gathers it as warnings; strict, it refuses it."""

    def __init__(self, *, strict: bool) -> None:
        self.warnings: list[str] = []
        self._strict = strict

    def forgive(self, problem: str) -> None:
        """Take a problem as a warning. Raises InvalidRecurrence if strict."""
        if self._strict:
            raise InvalidRecurrence(problem)
        self.warnings.append(problem)
