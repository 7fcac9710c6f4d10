"""Mutants that no test can notice, by the reason."""

EXPLAINED: dict[str, tuple[str, ...]] = {
    "the other operand is never taken: it is there for the type checker": (
        'web/forms.py stored drop operand: session.recurrence or "" => ((session.recurrence))',
        'web/blueprint.py _away drop operand: request.endpoint or "" => ((request.endpoint))',
    ),
}
