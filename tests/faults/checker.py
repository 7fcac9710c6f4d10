"""Compares what happened with what should have happened, in the manner of Jepsen: every edge, nothing sampled.

Pure: what the writers wrote (`truth`), what the database recorded of each flip, and the faults, in; findings out.

missed    a bit that was never set though there was time to
early     a bit set before its time; the sweep may, a minute before, when no daemon has reconciled for a minute (L2)
late      a bit set later than the promise allows, given the faults that held it up
doubled   the same flip twice, or a log of flips that tells another story than the history
extra     a flip that nothing explains
"""

import bisect
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby, pairwise
from typing import Literal

from tests.faults.truth import FOREVER, Piece, Version, Wanted, Window, pieces

# Within which everything is right when nothing blocks it; what is wanted for less may be over before it is due.
BOUND_SECONDS = 2.0
GRACE_SECONDS = 0.25  # how long before a fault an edge may have come that it still could swallow
LOOK_AHEAD_SECONDS = 60.0
STORY_SECONDS = 4.0
DELETED = "deleted"  # the cause of a flip when its row was deleted: the product only logs it

Kind = Literal["missed", "early", "late", "doubled", "extra"]


@dataclass(frozen=True, slots=True)
class Flip:
    """A bit that changed: the transaction's begin and commit, and who wrote it.

    When the row was written says nothing: what is to be true at an edge may be written before, and committed then.
    """

    subject: str
    active: bool
    begun_at: float
    committed_at: float
    by: str = "seisiun daemon"


@dataclass(frozen=True, slots=True)
class Logged:
    """A row of the product's own log of flips."""

    subject: str
    active: bool
    done_at: float
    cause: str = "timer"


@dataclass(frozen=True, slots=True)
class Fault:
    """What was done to the system, `[begun, over]`; `bound` seconds later all is right again.

    `subjects` None: it may hold up everything.
    """

    kind: str
    begun: float
    over: float
    bound: float = BOUND_SECONDS
    subjects: frozenset[str] | None = None

    @property
    def ends(self) -> float:
        return self.over + self.bound

    def concerns(self, subject: str) -> bool:
        return self.subjects is None or subject in self.subjects


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that must not happen."""

    kind: Kind
    subject: str
    at: float
    detail: str


@dataclass(frozen=True, slots=True)
class Reaction:
    """A bit that was wrong from `since` on, and was put right at `done`."""

    subject: str
    active: bool
    since: float
    done: float
    by_edit: bool
    faults: tuple[Fault, ...]

    @property
    def seconds(self) -> float:
        return self.done - self.since


@dataclass(frozen=True, slots=True)
class History:
    """All that was recorded of a run, which ended at `until`.

    `passes`: when a daemon is known to have reconciled. `yeses`: what people said, by person at an instance.
    """

    versions: Mapping[str, Sequence[Version]]
    flips: Sequence[Flip]
    log: Sequence[Logged] = ()
    faults: Sequence[Fault] = ()
    passes: Sequence[float] = ()
    until: float = FOREVER
    yeses: Mapping[str, Sequence[Version]] = field(default_factory=dict)


@dataclass(slots=True)
class Verdict:
    """What the checker found, and what it measured on the way; `skipped` is lawful."""

    findings: list[Finding] = field(default_factory=list)
    reactions: list[Reaction] = field(default_factory=list)
    skipped: int = 0
    lawfully_early: int = 0


def check(history: History) -> Verdict:
    """Check every subject's every edge."""
    verdict = Verdict()
    flips = _by_subject(sorted(history.flips, key=lambda flip: flip.committed_at))
    for subject in sorted(history.versions.keys() | flips.keys()):
        own = flips.get(subject, [])
        of_instance = flips.get(f"instance {subject.rpartition(' ')[2]}", [])
        _Subject(subject, history, own, of_instance, verdict).check()
    verdict.findings += _log_findings(history, flips)
    return verdict


def _by_subject(flips: Iterable[Flip]) -> dict[str, list[Flip]]:
    found: dict[str, list[Flip]] = {}
    for flip in flips:
        found.setdefault(flip.subject, []).append(flip)
    return found


def _pieces(subject: str, history: History) -> list[Piece]:
    """A person may be sent to an instance that stays on: whether it may is the instance's matter."""
    found = pieces(history.versions.get(subject, ()))
    if subject.startswith("instance"):
        return found
    return [replace(piece, wanted=Wanted.EITHER) if piece.wanted is Wanted.STAY else piece for piece in found]


class _Subject:
    """One subject's pieces of truth beside its flips, in the order of their commits."""

    def __init__(
        self, subject: str, history: History, flips: list[Flip], of_instance: list[Flip], verdict: Verdict
    ) -> None:
        self._subject = subject
        self._flips = flips
        self._of_instance = of_instance
        self._pieces = _pieces(subject, history)
        self._yeses = pieces(history.yeses.get(subject, ()))
        self._faults = [fault for fault in history.faults if fault.concerns(subject)]
        self._passes = sorted(history.passes)
        self._until = history.until
        self._verdict = verdict

    def check(self) -> None:
        for before, after in pairwise(self._flips):
            if before.active == after.active:
                self._find("doubled", after.committed_at, f"turned {_word(after.active)} twice")
        for place, flip in enumerate(self._flips):
            if not self._justified(flip):
                self._unjustified(flip, self._flips[place + 1 :])
        for piece in self._pieces:
            if piece.wanted in (Wanted.ON, Wanted.OFF) and piece.begins < self._until:
                self._follow(piece, piece.wanted is Wanted.ON)

    def _justified(self, flip: Flip) -> bool:
        """Say whether it was right at any moment at which its transaction may have read the clock and the rows."""
        return _allowed(flip, self._pieces) or self._follows_its_instance(flip)

    def _follows_its_instance(self, flip: Flip) -> bool:
        """Say whether a person who said yes went to an instance that was on still.

        Whether it may be on, that is the instance's matter. A pass reads windows, clock and yeses one after the other:
        a yes that is said just after a close, or after a cancel that no pass has served, takes its people there.
        """
        return flip.active and _bit(self._of_instance, flip.committed_at) and _allowed(flip, self._yeses)

    def _unjustified(self, flip: Flip, later: Sequence[Flip]) -> None:
        wanted = next(
            (
                piece.begins
                for piece in self._pieces
                if piece.begins > flip.committed_at and piece.wanted.allows(flip.active)
            ),
            None,
        )
        undone = later[0].committed_at if later else FOREVER
        what = f"turned {_word(flip.active)} by {flip.by}"
        if wanted is None or undone < wanted:
            self._find("extra", flip.committed_at, what)
        elif self._may_look_ahead(flip, wanted):
            self._verdict.lawfully_early += 1
        else:
            self._find(
                "early", flip.committed_at, f"{what}, {(wanted - flip.committed_at) * 1000:.1f} ms before its time"
            )

    def _may_look_ahead(self, flip: Flip, wanted: float) -> bool:
        """Return whether it is the named exception: a sweep that opens, when no daemon has reconciled for a minute."""
        place = bisect.bisect_right(self._passes, flip.begun_at)
        last_pass = self._passes[place - 1] if place else -FOREVER
        return (
            flip.active
            and flip.by == "seisiun sweep"
            and wanted - flip.committed_at <= LOOK_AHEAD_SECONDS
            and flip.begun_at - last_pass >= LOOK_AHEAD_SECONDS
        )

    def _follow(self, piece: Piece, wanted: bool) -> None:
        """Go through a piece of truth: from when the bit was wrong, and how long."""
        begins, ends = piece.begins, min(piece.ends, self._until)
        since = None if _bit(self._flips, begins) == wanted else begins
        for flip in self._flips:
            if not begins < flip.committed_at < ends:
                continue
            if flip.active != wanted:
                # One that nothing justifies has been found already.
                since = flip.committed_at if since is None and self._justified(flip) else since
            elif since is not None:
                self._react(since, flip.committed_at, piece, wanted)
                since = None
        if since is not None:
            self._never(since, ends, wanted)

    def _react(self, since: float, done: float, piece: Piece, wanted: bool) -> None:
        by_edit = since == piece.begins and piece.begins_by_edit
        reaction = Reaction(self._subject, wanted, since, done, by_edit, self._overlapping(since, done))
        self._verdict.reactions.append(reaction)
        if done > self._deadline(since):
            self._find("late", since, f"{_word(wanted)} after {reaction.seconds:.3f} s{_named(reaction.faults)}")

    def _never(self, since: float, ends: float, wanted: bool) -> None:
        """Judge a bit that was not put right before something else was wanted, or before the run ended."""
        unfinished = ends == self._until and self._deadline(since) >= ends
        too_short = ends - since < BOUND_SECONDS
        if unfinished:
            return
        if too_short or self._covered(since + GRACE_SECONDS, ends):
            self._verdict.skipped += 1
        else:
            faults = _named(self._overlapping(since, ends))
            self._find("missed", since, f"never {_word(wanted)} in {ends - since:.3f} s{faults}")

    def _overlapping(self, since: float, until: float) -> tuple[Fault, ...]:
        return tuple(fault for fault in self._faults if fault.begun <= until and fault.ends >= since)

    def _deadline(self, since: float) -> float:
        """Return until when the bit must be right: faults that begin before then move it on."""
        deadline = since + BOUND_SECONDS
        while True:
            later = max((f.ends for f in self._faults if f.begun <= deadline and f.ends >= since), default=deadline)
            if later <= deadline:
                return deadline
            deadline = later

    def _covered(self, begins: float, ends: float) -> bool:
        """Say whether faults, and what it takes to recover from them, fill the whole interval."""
        reached = begins
        for fault in sorted(self._faults, key=lambda fault: fault.begun):
            if fault.begun <= reached:
                reached = max(reached, fault.ends)
        return reached >= ends

    def _find(self, kind: Kind, at: float, detail: str) -> None:
        self._verdict.findings.append(Finding(kind, self._subject, at, detail))


def _allowed(flip: Flip, wanted: Iterable[Piece]) -> bool:
    """Say whether a flip was right at any moment of its transaction."""
    return any(
        piece.begins <= flip.committed_at and piece.ends > flip.begun_at and piece.wanted.allows(flip.active)
        for piece in wanted
    )


def _bit(flips: Sequence[Flip], at: float) -> bool:
    """Return the bit after the flips, in the order of their commits, that were committed at an instant or before."""
    place = bisect.bisect_right([flip.committed_at for flip in flips], at)
    return flips[place - 1].active if place else False


def _log_findings(history: History, flips: Mapping[str, list[Flip]]) -> list[Finding]:
    """Compare the product's log with the history, instance by instance: they must tell the same story."""
    logged: dict[str, list[Logged]] = {}
    for row in history.log:
        logged.setdefault(row.subject, []).append(row)
    findings = []
    for subject in sorted(logged.keys() | {subject for subject in flips if subject.startswith("instance")}):
        rows = logged.get(subject, [])
        bits = flips.get(subject, [])
        if [row.active for row in rows] != [flip.active for flip in bits]:
            told = "".join("+" if row.active else "-" for row in rows)
            happened = "".join("+" if flip.active else "-" for flip in bits)
            at = bits[0].committed_at if bits else rows[0].done_at
            detail = f"the log says {told or 'nothing'}, it was {happened or 'nothing'}"
            findings.append(Finding("doubled", subject, at, detail))
    return findings


def two_at_once(flips: Iterable[tuple[int, Flip]]) -> list[Finding]:
    """Find sessions with two instances on at a time; given (session id, flip) in the order of the commits."""
    on: dict[int, set[str]] = {}
    findings = []
    for session_id, flip in flips:
        here = on.setdefault(session_id, set())
        here.add(flip.subject) if flip.active else here.discard(flip.subject)
        if len(here) > 1:
            detail = f"session {session_id} is on twice: {', '.join(sorted(here))}"
            findings.append(Finding("extra", flip.subject, flip.committed_at, detail))
    return findings


def story(history: History, finding: Finding, began: float) -> list[str]:
    """Return what was written and what happened to a finding's subject about then, counted from `began`."""
    numbers = finding.subject.split()
    names = {finding.subject, f"instance {numbers[-1]}"}
    told = [
        (v.sent, f"{name} written, until {v.acknowledged - began:.3f}: {_window(v.window, began)}")
        for name in names
        for v in history.versions.get(name, ())
    ] + [
        (flip.begun_at, f"{flip.subject} {_word(flip.active)} by {flip.by!r}, {flip.committed_at - began:.3f}")
        for flip in history.flips
        if flip.subject in names
    ]
    return [f"{at - began:.3f} {what}" for at, what in sorted(told) if abs(at - finding.at) < STORY_SECONDS]


def _window(window: Window | None, began: float) -> str:
    return f"{window.opens_at - began:.3f}-{window.closes_at - began:.3f}" if window else "nothing"


def recoveries(verdict: Verdict) -> dict[str, list[float]]:
    """Return, by kind of fault, how many seconds after its end the last bit that it held up was right.

    Of several faults the last one counts, and only what was wrong before it was over.
    """
    last: dict[Fault, float] = {}
    for reaction in verdict.reactions:
        held_up = [fault for fault in reaction.faults if fault.begun <= reaction.done and reaction.since <= fault.over]
        if held_up:
            fault = max(held_up, key=lambda fault: fault.over)
            last[fault] = max(last.get(fault, 0.0), reaction.done - fault.over)
    ordered = sorted(last.items(), key=lambda found: found[0].kind)
    return {kind: [seconds for _, seconds in found] for kind, found in groupby(ordered, key=lambda f: f[0].kind)}


def _word(active: bool) -> str:
    return "on" if active else "off"


def _named(faults: Iterable[Fault]) -> str:
    kinds = sorted({fault.kind for fault in faults})
    return f" ({', '.join(kinds)})" if kinds else ""
