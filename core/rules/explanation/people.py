"""Where a person is and why, by the rule that put them there (A2)."""

from collections.abc import Mapping, Sequence
from datetime import datetime

from core.rules.explanation import wording
from core.rules.explanation.reading import Pending, PersonExplanation, PersonReading, Step, Yes
from core.rules.explanation.verdict import remedy
from core.rules.presence import Left, SaidYes, deciding_yes

MOVES = "moves those who are not where they should be"
_DEACTIVATED = "the app has deactivated them, and until it activates them again they are nowhere (A2)"


def explain_person(
    person: PersonReading, yeses: Sequence[Yes], at: datetime, pending: Pending | None = None
) -> PersonExplanation:
    """Explain where a person is.

    `yeses`: the latest of theirs, with those that count among them. `pending`: the pass that moves them, if they are
    not where they should be.
    """
    known = {yes.session_instance_id: yes for yes in yeses}
    target = should_be_at(person)
    steps = tuple(Step("maybe" if yes.is_maybe else "yes", _yes(person, yes, target, known)) for yes in yeses)
    agrees = person.at_instance == target
    return PersonExplanation(
        person.person_id, at, _verdict(person, known, pending), person.at_instance, target, agrees, steps
    )


def should_be_at(person: PersonReading) -> int | None:
    """Return the instance where a person should be; None: nowhere."""
    deciding = _deciding(person)
    return deciding.session_instance_id if deciding else None


def _verdict(person: PersonReading, known: Mapping[int, Yes], pending: Pending | None) -> str:
    deciding, at = _deciding(person), person.at_instance
    target = deciding.session_instance_id if deciding else None
    yes = known.get(target or 0)
    reason = _reason(person, deciding, yes.timezone if yes else None, known)
    if not person.is_deactivated and all(one.is_maybe for one in known.values()):
        reason = "they said yes to nothing (A2)"
    stored = f"At {_named(at, known)}" if at else "Nowhere"
    if target == at:
        return f"{stored}: {reason}"
    should = f"at {_named(target, known)}" if target else "nowhere"
    zone = next((each.timezone for each in known.values() if pending and each.session_id == pending.session_id), None)
    moves = remedy(pending, zone, writes="moves them") if pending else "The next pass moves them"
    return f"{stored}, and should be {should}: {reason}. {moves}"


def _named(key: int | None, known: Mapping[int, Yes]) -> str:
    yes = known.get(key or 0)
    return f"{yes.name} (session {yes.session_id}, instance {key})" if yes else f"instance {key}"


def _yes(person: PersonReading, yes: Yes, target: int | None, known: Mapping[int, Yes]) -> str:
    """Say of one yes when it was said, and whether it decides, counts, waits, or no longer counts."""
    said = f"said at {wording.instant(yes.said_at, yes.timezone)}" if yes.said_at else "said long ago"
    counts = _counts(person, yes, target, known)
    return f"to {yes.name} (session {yes.session_id}, instance {yes.session_instance_id}), {said}: {counts}"


def _counts(person: PersonReading, yes: Yes, target: int | None, known: Mapping[int, Yes]) -> str:
    if yes.is_maybe or person.is_deactivated:
        return f"it does not count, as {_DEACTIVATED}" if person.is_deactivated else "a maybe does not count (A2)"
    if yes.session_instance_id == target:
        return "it decides (A2)"
    one = next((one for one in person.said if one.session_instance_id == yes.session_instance_id), None)
    if one:
        left = _ended_by(person, one)
        ended = left and f"ended, as they left {_named(left.session_instance_id, known)} (A2)"
        return ended or "another comes first (A2)"
    if yes.is_cancelled:
        return "the instance is cancelled (P5)"
    if yes.opens_at is None:
        return "the instance has no window to come" + (f": {yes.verdict}" if yes.verdict else "")
    return f"it counts once the window opens, at {wording.instant(yes.opens_at, yes.timezone)}"


def standing(person: PersonReading, session_instance_id: int, zone: str | None) -> str:
    """Return how a person who said yes to an instance stands to it."""
    deciding, is_here = _deciding(person), person.at_instance == session_instance_id
    reason = _reason(person, deciding, zone, {})
    if deciding and deciding.session_instance_id != session_instance_id:
        reason = f"instance {deciding.session_instance_id} decides, {reason}"
    should = deciding is not None and deciding.session_instance_id == session_instance_id
    differs = "" if is_here == should else ", and should be" if should else ", and should not be"
    return f"{'here' if is_here else 'not here'}{differs}: {reason}"


def _deciding(person: PersonReading) -> SaidYes | None:
    return None if person.is_deactivated else deciding_yes(person.said, person.left)


def _reason(person: PersonReading, deciding: SaidYes | None, zone: str | None, known: Mapping[int, Yes]) -> str:
    if person.is_deactivated:
        return _DEACTIVATED
    if deciding:
        return _rule(deciding, [yes for yes in person.said if not _ended_by(person, yes)], zone)
    ended = [left for yes in person.said if (left := _ended_by(person, yes))]
    if not ended:
        return "no yes of theirs is for an instance that is on now (A2)"
    last = max(ended, key=lambda left: left.left_at)
    yes = known.get(last.session_instance_id)
    at = wording.instant(last.left_at, yes.timezone if yes else zone)
    return f"they left {_named(last.session_instance_id, known)} at {at} (A2)"


def _ended_by(person: PersonReading, yes: SaidYes) -> Left | None:
    """Return the leaving by which a yes no longer counts."""
    return next((left for left in person.left if left.ends(yes)), None)


def _rule(deciding: SaidYes, said: Sequence[SaidYes], zone: str | None) -> str:
    """Say by which part of A2 this yes decides, among those that count."""
    alike = [yes for yes in said if yes.since_it_opened == deciding.since_it_opened]
    if deciding.since_it_opened:
        last = f", the last of {len(alike)} such yeses" if alike[1:] else ""
        return f"said yes at {wording.instant(deciding.said_at, zone)}, after it opened{last} (A2)"
    first = f", and its window opened first of {len(alike)}" if alike[1:] else ""
    return f"said yes before it opened{_when(deciding.said_at, zone)}{first} (A2)"


def _when(said_at: datetime, zone: str | None) -> str:
    return f", at {wording.instant(said_at, zone)}" if said_at.year > 1970 else ""
