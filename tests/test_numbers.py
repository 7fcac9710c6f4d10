"""docs/numbers.md: one row for each timing constant, with its value; and what must be larger or smaller than what."""

import ast
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from functools import cache
from importlib import import_module
from itertools import product
from pathlib import Path
from typing import Any

import pytest
import yaml

from core.db import KEEPALIVES
from core.settings import Settings
from core.store.queue.retries import MOST_FAILURES_COUNTED
from tests.commands import ROOT

PAGE = ROOT / "docs" / "numbers.md"
PACKAGES = ("core", "scheduler", "jobs", "web", "seisiun")
PROGRAMS = {"core/migrations/env.py", "scheduler/__main__.py"}  # to import them is to run them

# What a name says of a number: that it is a time, and the unit.
UNITS = {"_DAYS": 86400.0, "_HOURS": 3600.0, "_MINUTES": 60.0, "_SECONDS": 1.0, "_MS": 0.001}
GUNICORNS = {"timeout", "graceful_timeout", "keepalive"}  # its own names, in seconds
MILLISECONDS = {"tcp_user_timeout"}  # libpq's and PostgreSQL's; their other numbers are seconds
PARAMETER = re.compile(r"timeout$|_idle$|_interval$")
OPTION = re.compile(r"-c (\w+)=(\d+)")

WORDS = {"ms": 0.001, "s": 1.0, "min": 60.0, "h": 3600.0, "day": 86400.0, "days": 86400.0, "weeks": 604800.0}
NAME = r"`([\w.]+)`"
CONSTANT = re.compile(r"^(?!MOST_).*\b_?[A-Z]{2}|^Settings\.")  # a count is called MOST_...
ROW = re.compile(rf"\| (?P<value>[^|`]+) \| {NAME} \| `(?P<file>[\w/.]+)` \| [^|]+ \| (?P<coupled>[^|]+) \|")

Times = tuple[float, ...]
"""One time in seconds; two are the ends of a range."""


@dataclass(frozen=True, slots=True)
class Row:
    """A row of the page."""

    name: str
    file: str
    times: Times
    coupled: str


def module_of(file: str) -> str:
    return ".".join(Path(file).with_suffix("").parts).removesuffix(".__init__")


@cache
def constants() -> dict[str, Times]:
    """Return the dotted name of every timing constant, and its value. A name counts where it is assigned."""
    found: dict[str, Times] = {}
    for file in sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py")):
        relative = str(file.relative_to(ROOT))
        if relative not in PROGRAMS:
            module = import_module(module_of(relative))
            for name, expression in assignments(ast.parse(file.read_text(encoding="utf-8"))):
                for part, times in times_of(name, expression, getattr(module, name)):
                    found[f"{module.__name__}.{part}"] = times
    for name, field in Settings.model_fields.items():
        for times in times_of_number(name.upper(), field.default):
            found[f"core.settings.Settings.{name}"] = times
    return found


def assignments(module: ast.Module) -> Iterator[tuple[str, ast.expr]]:
    """Yield each name that a module assigns at its top level, and the expression."""
    for statement in module.body:
        match statement:
            case ast.Assign(targets=[ast.Name(id=name)], value=expression):
                yield name, expression
            case ast.Assign(targets=[ast.Tuple(elts=names)], value=expression):
                yield from ((name.id, expression) for name in names if isinstance(name, ast.Name))
            case ast.AnnAssign(target=ast.Name(id=name), value=ast.expr() as expression):
                yield name, expression


def times_of(name: str, expression: ast.expr, value: Any) -> Iterator[tuple[str, Times]]:
    """Yield the times that are in a constant: one, or one for each parameter of PostgreSQL's or libpq's."""
    if isinstance(value, timedelta):
        yield name, (value.total_seconds(),)
    elif isinstance(value, str):
        yield from ((f"{name}.{key}", times) for key, text in OPTION.findall(value) for times in times_at(key, text))
    elif isinstance(value, dict):
        # Only the keys that stand in this assignment: the others come from another dictionary, and have rows there.
        literals = [each for each in ast.walk(expression) if isinstance(each, ast.Dict)]
        own = [str(key.value) for each in literals for key in each.keys if isinstance(key, ast.Constant)]
        yield from ((f"{name}.{key}", times) for key in own for times in times_at(key, value.get(key)))
    else:
        yield from ((name, times) for times in times_of_number(name, value))


def times_of_number(name: str, value: Any) -> Iterator[Times]:
    unit = 1.0 if name in GUNICORNS else next((each for suffix, each in UNITS.items() if name.endswith(suffix)), None)
    numbers = value if isinstance(value, tuple) else (value,)
    if unit is not None and all(isinstance(number, int | float) for number in numbers):
        yield tuple(number * unit for number in numbers)


def times_at(parameter: str, value: Any) -> Iterator[Times]:
    """Yield the time that a parameter of PostgreSQL's or libpq's is set to: a number, or text such as 250ms."""
    if PARAMETER.search(parameter):
        number, unit = re.fullmatch(r"(\d+)(ms|s)?", str(value)).groups()  # type: ignore[union-attr] # fails the test
        yield (int(number) * WORDS[unit or ("ms" if parameter in MILLISECONDS else "s")],)


def written(value: str) -> Times:
    """Read a value of the page: "250 ms", or "1 to 3 s"."""
    *numbers, unit = value.replace(" to ", " ").split()
    return tuple(float(number) * WORDS[unit] for number in numbers)


@cache
def rows() -> dict[str, Row]:
    """Return the rows of all the page's tables by dotted name."""
    lines = PAGE.read_text(encoding="utf-8").splitlines()
    matches = [(line, ROW.fullmatch(line)) for line in lines if re.match(r"\| \d", line)]
    assert not [line for line, match in matches if not match], "a row that cannot be read"
    found = [Row(match[2], match["file"], written(match["value"]), match["coupled"]) for _, match in matches if match]
    by_name = {f"{module_of(row.file)}.{row.name}": row for row in found}
    assert len(by_name) == len(found), "a constant has two rows"
    return by_name


def test_every_timing_constant_has_one_row_with_its_value_and_its_file() -> None:
    expected = {name: pytest.approx(times) for name, times in constants().items()}

    assert {name: row.times for name, row in rows().items()} == expected


# What must hold between them


def longest(setting: str) -> float:
    return next(float(bound.le) for bound in Settings.model_fields[setting].metadata if hasattr(bound, "le"))


def shortest(setting: str) -> float:
    return next(float(bound.ge) for bound in Settings.model_fields[setting].metadata if hasattr(bound, "ge"))


def platform() -> tuple[float, float]:
    """Return how long the platform waits after SIGTERM, and the time between two sweeps."""
    services = {service["type"]: service for service in yaml.safe_load((ROOT / "render.yaml").read_text())["services"]}
    first, second, *_ = map(int, services["cron"]["schedule"].split()[0].split(","))
    return services["worker"]["maxShutdownDelaySeconds"], 60.0 * (second - first)


GIVEN = {
    "PostgreSQL's deadlock_timeout": 1.0,
    "Python's switch interval": 0.005,
    "the platform's grace": platform()[0],
    "the cron schedule": platform()[1],
    "the promise for SIGTERM": 5.0,
    "the promise for a silent network": 15.0,
    "the longest resync_seconds": longest("resync_seconds"),
    "the longest hours": 86400.0 + 3600.0,  # from 0:00 to 24:00, on the day when the clocks go back
    "the shortest keep_days": 86400 * shortest("keep_days"),
}

LESS = (
    # smaller, larger, why
    ("flips.EARLY_OPENING", "flips.TOLERATED", "an instance that was opened as early as allowed is no mistake"),
    ("2 * the longest resync_seconds", "worker.TIMERS_AHEAD", "each resync arms the timers until after the next"),
    (
        "agenda.GIVE_WAY_SECONDS",
        "agenda.TICK_SECONDS",
        "a tick lets edges pass, and still comes each second",
    ),
    (
        "agenda.NEAR_SECONDS",
        "agenda.GIVE_WAY_SECONDS",
        "what lets an edge pass waits until the edge is served",
    ),
    ("ahead.LONGEST_LEAD_SECONDS", "agenda.NEAR_SECONDS", "the worker wakes before the pass is to begin"),
    ("ahead.HELD_SECONDS", "ahead.LONGEST_LEAD_SECONDS", "the pass is made before the server takes over"),
    ("ahead.HELD_SECONDS", "hold.FARTHEST", "the server accepts to wait so long"),
    ("ahead.LONGEST_LEAD_SECONDS", "hold.STOPPED_FOR", "a pass that waits for the edge is not taken for a stopped one"),
    ("agenda.TIMER_SECONDS", "agenda.NEAR_SECONDS", "an edge stays near until its timer has fired"),
    ("active_session_manager.LEFT_TO_DAEMON", "reports.LATE", "what is left to the timers is not overdue yet"),
    ("active_session_manager.LEFT_TO_DAEMON", "log.MISSED", "nor missed"),
    ("reports.LATE", "log.MISSED", "`status` tells it before the sweep mails it"),
    (
        "2 * windows.LONGEST_BUFFER_MINUTES + the longest hours",
        "yeses.LEFT_LATELY",
        "whoever left while a window was open is still known to have left when it closes",
    ),
    # passes and locks
    ("PASS_SETTINGS.lock_timeout", "PostgreSQL's deadlock_timeout", "we give up before a deadlock ends the app's work"),
    ("HOOK_SETTINGS.lock_timeout", "PostgreSQL's deadlock_timeout", "a hook too"),
    (
        "PASS_SETTINGS.lock_timeout",
        "PASS_SETTINGS.statement_timeout",
        "a held lock is contention, not a slow statement",
    ),
    ("HOOK_SETTINGS.lock_timeout", "HOOK_SETTINGS.statement_timeout", "in a hook too"),
    ("PASS_SETTINGS.statement_timeout + ROUND_SECONDS", "worker.RESPONSE_TIMEOUT_SECONDS", "the server ends it first"),
    (
        "PASS_SETTINGS.statement_timeout + ROUND_SECONDS",
        "check_active_sessions.RESPONSE_TIMEOUT_SECONDS",
        "the server ends it first",
    ),
    (
        "chunk.PLANNING_SECONDS + 175 * chunk.EACH_SECONDS",
        "PASS_SETTINGS.idle_in_transaction_session_timeout",
        "the server does not end a pass that plans a whole chunk",
    ),
    (
        "batches.ISOLATE_SECONDS + agenda.TICK_SECONDS",
        "heartbeats.BEAT_STALE",
        "the heartbeat waits while a pass isolates",
    ),
    ("retries.LAST_RETRY", "outage.ISOLATE_FOR_SECONDS", "isolation lasts until the culprit backs off for longest"),
    # retries
    ("retries.FIRST_RETRY", "retries.CANARY_RETRY", "a canary's pause grows from the first one"),
    ("retries.CANARY_RETRY", "retries.LAST_RETRY", "the canary goes before the others"),
    ("retries.LAST_RETRY", f"{2**MOST_FAILURES_COUNTED} * retries.FIRST_RETRY", "the wait grows up to the longest"),
    ("retries.LAST_RETRY", "due.LONGEST_RETRY", "a retry farther ahead was noted before a clock was set back"),
    ("backoff.FIRST_PAUSE_SECONDS", "backoff.LAST_PAUSE_SECONDS", "the pause grows"),
    ("PASS_SETTINGS.lock_timeout", "backoff.FORGET_AFTER_SECONDS", "a retry that waits for a lock is not forgotten"),
    ("backoff.LAST_PAUSE_SECONDS", "backoff.REPORT_AFTER_SECONDS", "it is reported after several tries"),
    # the daemon's threads
    ("daemon.WATCH_SECONDS", "daemon.WEDGED_SECONDS", "it counts rounds"),
    (
        "worker.RESPONSE_TIMEOUT_SECONDS + KEEPALIVES.connect_timeout",
        "daemon.WEDGED_SECONDS",
        "the worker's longest wait",
    ),
    (
        "2 * KEEPALIVES.connect_timeout + 4 * listener.RESPONSE_TIMEOUT_SECONDS + listener.LOOPBACK_SECONDS",
        "daemon.WEDGED_SECONDS",
        "the listener's longest way to its first notification",
    ),
    ("listener.SILENCE_SECONDS", "daemon.WEDGED_SECONDS", "an idle listener shows progress that often"),
    ("agenda.TICK_SECONDS", "daemon.WEDGED_SECONDS", "a tick probes the timers' thread"),
    ("daemon.STOP_SECONDS + daemon.WATCH_SECONDS + streams.FLUSH_SECONDS", "the promise for SIGTERM", "we promise it"),
    (
        "daemon.STOP_SECONDS + daemon.WATCH_SECONDS + streams.FLUSH_SECONDS",
        "the platform's grace",
        "else the platform kills it",
    ),
    ("agenda.TICK_SECONDS", "heartbeats.BEAT_STALE", "it beats at each tick"),
    ("pings.TIMEOUT_SECONDS", "heartbeat.PING_SECONDS", "a ping has ended before the next one is due"),
    ("2 * pings.TIMEOUT_SECONDS", "pings.CLOSE_SECONDS", "the sweep sends the second ping though the first hangs"),
    ("pings.CLOSE_SECONDS", "check_active_sessions.BETWEEN_SWEEPS", "pings keep out no sweep"),
    ("the longest resync_seconds", "heartbeat.PING_SECONDS", "an idle daemon's passes come often enough to ping"),
    ("metrics.ALIVE_WITHIN", "metrics.SHOWN_FOR", "what is alive shows its counters"),
    ("metrics.SHOWN_FOR", "heartbeats.FORGOTTEN_AFTER", "its row is there still"),
    ("heartbeats.BEAT_STALE", "metrics.ALIVE_WITHIN", "`status` tells it before the figures do"),
    ("the longest resync_seconds + PASS_SETTINGS.statement_timeout", "status.PASS_STALE", "an idle daemon's passes"),
    (
        "the longest resync_seconds + PASS_SETTINGS.statement_timeout",
        "heartbeats.DAEMON_ALIVE_WITHIN",
        "an idle daemon's passes",
    ),
    ("clock_offset.DRIFT", "heartbeat.OFFSET_TOLERANCE", "two clocks that drift do not arm the timers again"),
    ("heartbeat.OFFSET_TOLERANCE", "heartbeat.WAS_SET", "a drift is no set clock"),
    ("heartbeat.SKEW_CHANGED", "heartbeats.SKEW_REPORTED", "the first report needs the larger one"),
    # listening, and connections
    (
        "listener.LOOPBACK_SECONDS",
        "listener.OVERDUE_SECONDS",
        "a listener that waits for its own notification still listens",
    ),
    (
        "listener.SILENCE_SECONDS + listener.RESPONSE_TIMEOUT_SECONDS + ROUND_SECONDS + KEEPALIVES.connect_timeout",
        "the promise for a silent network",
        "the listener is right again by then",
    ),
    (
        "worker.RESPONSE_TIMEOUT_SECONDS + ROUND_SECONDS + KEEPALIVES.connect_timeout + outage.LAST_RETRY_SECONDS",
        "the promise for a silent network",
        "the worker is right again by then",
    ),
    ("listener.FIRST_RETRY_SECONDS", "listener.LAST_RETRY_SECONDS", "the pause grows"),
    ("outage.FIRST_RETRY_SECONDS", "outage.LAST_RETRY_SECONDS", "the pause grows"),
    (
        "KEEPALIVES.keepalives_idle + KEEPALIVES.keepalives_interval",
        "KEEPALIVES.tcp_user_timeout",
        "a second probe is sent before the host counts as gone",
    ),
    (
        "KEEPALIVES.tcp_user_timeout",
        f"KEEPALIVES.keepalives_idle + {KEEPALIVES['keepalives_count']} * KEEPALIVES.keepalives_interval",
        "the kernel asks for it only while it probes",
    ),
    ("2 * guard.SHUTDOWN_SECONDS", "embedded.START_TIMEOUT_SECONDS", "a start waits for a server that shuts down"),
    ("live.SHORT_LOCK_TIMEOUT_MS", "live.LOCK_TIMEOUT_MS", "during a take-over the app is in full use"),
    ("takeover._PAUSE_SECONDS", "takeover.HELD_FOR_SECONDS", "a held row is tried several times"),
    # the sweep
    (
        "check_active_sessions.DEFERRED_FOR_SECONDS + check_active_sessions.RESPONSE_TIMEOUT_SECONDS",
        "check_active_sessions.BETWEEN_SWEEPS",
        "a sweep is over before the next one",
    ),
    # pages
    ("hub.LEAST_PAUSE_SECONDS", "hub.AGAIN_SECONDS", "the second reading is one of its own"),
    ("hub.AGAIN_SECONDS", "hub.RESYNC_SECONDS", "it comes before the resync"),
    ("hub.SILENCE_SECONDS", "hub.RESYNC_SECONDS", "a board comes by a resync, if not by its listener"),
    ("hub.CLOSED_SECONDS", "hub.HEARTBEAT_SECONDS", "a client that has closed is noticed before the next write"),
    ("hub.HEARTBEAT_SECONDS", "hub.LIFETIME_SECONDS", "a stream that has nothing to tell is kept open"),
    ("hub.RECONNECT_MS", "web.settings.POLL_SECONDS", "a page reconnects sooner than it would ask"),
    ("gunicorn_config.SWITCH_SECONDS", "Python's switch interval", "requests wait less than Python would have them"),
    # history
    ("agenda.PRUNE_SECONDS", "the shortest keep_days", "the history is pruned several times a day"),
    (
        "check_active_sessions.BETWEEN_SWEEPS",
        "the shortest keep_days",
        "the sweep counts what was missed since the last",
    ),
    ("heartbeats.BEAT_STALE", "heartbeats.FORGOTTEN_AFTER", "a daemon that is alive keeps its row"),
)

AT_MOST = (
    ("agenda.GRACE", "heartbeat.TIMERS_LATE", "the resync that a late timer starts finds the edge"),
    ("status.DAY", "the shortest keep_days", "the misses that `status` lists are not pruned yet"),
    ("metrics.LAST_DAY", "the shortest keep_days", "the flips that the figures count are not pruned yet"),
)

EQUAL = (
    ("flips.EARLY_OPENING", "rules.presence.HERE_BEFORE_OPENING", "L2 and A2 mean the same minute"),
    ("active_session_manager.LEFT_TO_DAEMON", "agenda.GRACE", "sweep and resync leave the same to the timers"),
    ("schedules.DEFAULT_LENGTH", "Settings.default_length_minutes", "T3 has one default"),
    ("clock_offset.STEP_SECONDS", "heartbeat.WAS_SET", "both clocks count as set by the same jump"),
    ("heartbeats.SKEW_REPORTED", "status.SKEW_MS", "log and `status` tell the same skew"),
    ("status.PASS_STALE", "heartbeats.DAEMON_ALIVE_WITHIN", "the sweep and `status` mean the same daemon"),
    ("live.LOCK_TIMEOUT_MS", "catalogue.LONG_TRANSACTION", "a step waits in vain behind a longer transaction"),
    ("the cron schedule", "check_active_sessions.BETWEEN_SWEEPS", "an alert tells what the last sweep could not"),
    ("KEEPALIVES.keepalives_idle", "SERVER_OPTIONS.tcp_keepalives_idle", "both ends notice at once"),
    ("KEEPALIVES.keepalives_interval", "SERVER_OPTIONS.tcp_keepalives_interval", "both ends notice at once"),
    ("KEEPALIVES.tcp_user_timeout", "SERVER_OPTIONS.tcp_user_timeout", "both ends notice at once"),
)

CASES = [(less, "<", more, why) for less, more, why in LESS]
CASES += [(less, "<=", more, why) for less, more, why in AT_MOST]
CASES += [(one, "==", other, why) for one, other, why in EQUAL]
IDS = [f"{left} {relation} {right}" for left, relation, right, _ in CASES]


@pytest.mark.parametrize(("left", "relation", "right", "why"), CASES, ids=IDS)
def test_what_is_coupled_holds(left: str, relation: str, right: str, why: str) -> None:
    smaller, larger = total(left, max), total(right, min)

    assert {"<": smaller < larger, "<=": smaller <= larger, "==": smaller == pytest.approx(larger)}[relation], why


def test_the_page_tells_of_all_that_is_coupled() -> None:
    silent = [
        (left, relation, right)
        for left, relation, right, _ in CASES
        if not any(tells_of(a, b) or tells_of(b, a) for a, b in product(names(left), names(right)))
    ]

    assert silent == []


def test_every_constant_that_a_row_is_coupled_with_exists() -> None:
    for row in rows().values():
        for name in mentioned(row):
            assert full_name(name, row.file) in constants(), f"{row.name} is coupled with {name}"


def total(expression: str, of_range: Callable[[Times], float]) -> float:
    """Return the seconds of a sum such as "2 * agenda.TICK_SECONDS + ROUND_SECONDS"."""
    terms = [re.fullmatch(r"(?:(\d+) \* )?(.+)", term) for term in expression.split(" + ")]
    return sum(int(term[1] or 1) * seconds(term[2], of_range) for term in terms if term)


def seconds(name: str, of_range: Callable[[Times], float]) -> float:
    return GIVEN[name] if name in GIVEN else of_range(constants()[full_name(name)])


def names(expression: str) -> list[str]:
    return [re.sub(r"^\d+ \* ", "", term) for term in expression.split(" + ")]


def full_name(name: str, file: str = "") -> str:
    """Return the dotted name of a constant: of the one in this file, or the only one whose name ends so."""
    beside = f"{module_of(file)}.{name}" if file else ""
    ends_so = [beside] if beside in constants() else [each for each in constants() if f".{each}".endswith(f".{name}")]
    assert len(ends_so) == 1, f"{name} is {ends_so or 'no timing constant'}"
    return ends_so[0]


def mentioned(row: Row) -> list[str]:
    """Return the timing constants that the row names in its last column."""
    return [name for name in re.findall(NAME, row.coupled) if CONSTANT.search(name)]


def tells_of(name: str, other: str) -> bool:
    """Say whether the row of a constant names the other one, or what is given."""
    if name in GIVEN:
        return False
    row = rows()[full_name(name)]
    if other in GIVEN:
        return other in row.coupled.replace("`", "")
    return full_name(other) in {full_name(each, row.file) for each in mentioned(row)}
