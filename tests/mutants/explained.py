"""Mutants that no test can notice, by the reason."""

EXPLAINED: dict[str, tuple[str, ...]] = {
    "the other operand is never taken: it is there for the type checker": (
        'web/forms.py stored drop operand: session.recurrence or "" => ((session.recurrence))',
        'web/blueprint.py _away drop operand: request.endpoint or "" => ((request.endpoint))',
    ),
    "a clock that runs is not read at exactly that instant": (
        (
            "scheduler/daemon/wakeups.py Wakeups.take move boundary: (left := deadline - time.monotonic()) > 0 => "
            "(left := deadline - time.monotonic()) >= (0)"
        ),
        (
            "core/db/pauses.py Pauses.after_failure move boundary: time.monotonic() - self._begun > self._last => "
            "(time.monotonic() - self._begun) >= (self._last)"
        ),
        (
            "scheduler/daemon/clock_offset.py ClockOffset.stepped move boundary: abs(step) < STEP_SECONDS => "
            "(abs(step)) <= (STEP_SECONDS)"
        ),
        (
            "scheduler/daemon/outage.py Outage.isolate move boundary: time.monotonic() < self._isolate_until => "
            "(time.monotonic()) <= (self._isolate_until)"
        ),
    ),
    "the two calls know nothing of each other": (
        (
            "scheduler/daemon/agenda.py Agenda.note_round swap: self.backoff.clear(finished) "
            "self.backoff.add(deferred, now) => self.backoff.add(deferred, now) self.backoff.clear(finished)"
        ),
        (
            "scheduler/daemon/agenda.py Agenda.finish swap: self._pending.discard(task) self._found.pop(task, None) => "
            "self._found.pop(task, None) self._pending.discard(task)"
        ),
    ),
}
