"""Why an instance of a session is on or not at an instant, and where a person is: a printout of what the rules decide.

reading  what one reading of the database says, and the explanation that is made of it
case     a reading, and what the rules say of it
verdict  the answer in one sentence
steps    the chain behind it
people   where a person is, by the rule that put them there (A2)
wording  instants, hours, buffers and lengths of time as text

No rule stands here a second time: `plan_or_freeze`, `decide` and `deciding_yes` are asked. Where the stored state is
not what they say, the explanation says so, and what will happen.
"""

from core.rules.explanation.case import Case
from core.rules.explanation.reading import Attendance, Explanation
from core.rules.explanation.steps import steps
from core.rules.explanation.verdict import is_on, verdict, why


def explain(case: Case, key: int | None, attendance: Attendance) -> Explanation:
    """Explain an instance, by its id or by the planner's key for a row that is still to be made; None: no instance."""
    return Explanation(
        case.reading.snapshot.session_id,
        case.reading.name,
        key if key and key > 0 else None,
        case.at,
        verdict(case, key),
        why(case, key),
        is_on(case, key),
        case.agrees,
        steps(case, key, attendance),
    )
