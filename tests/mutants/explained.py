"""Mutants that no test can notice, by the reason."""

EXPLAINED: dict[str, tuple[str, ...]] = {}
