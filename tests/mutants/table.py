"""Which tests may notice a mutant of which module: the first row whose path the module's path begins with.

The tests that compare statements with their text (`tests/core/store/test_statements.py`) are in no row: they notice
every change, and tell nothing of what the change breaks.
"""

from pathlib import Path

from tests.test_mirror import COVERED_BY

HOOKS = ("tests/core/hooks", "tests/core/test_ids.py", "tests/core/active_session_manager/test_app_transactions.py")
PASS = (
    "tests/core/reconcile/test_steps.py",
    "tests/core/scenarios/interleavings",
    "tests/core/store/planning",
    "tests/core/store/presence",
    "tests/core/store/queue",
    "tests/core/reconcile/test_presence.py",
    "tests/core/reconcile/test_presence_two_sessions.py",
    "tests/core/reconcile/test_chunk.py",
    "tests/core/reconcile/test_contention.py",
    "tests/core/hooks/test_check_in.py",
    "tests/core/hooks/test_leave.py",
    "tests/core/hooks/test_saved.py",
    "tests/core/active_session_manager",
    "tests/core/store/test_mirror.py",
    "tests/core/store/test_activation_windows.py",
    "tests/core/reconcile",
)
TAKE_OVER = "tests/core/adoption/test_takeover.py"
WORKER = "tests/scheduler/daemon/test_worker.py"
TIMELINE = "tests/core/test_timeline.py"
PAGES = (
    "tests/web/test_blueprint.py",
    "tests/web/scenarios/test_refusals.py",
    "tests/web/test_instances.py",
    "tests/web/test_sessions.py",
    "tests/web/test_host.py",
    "tests/web/test_edit.py",
    "tests/web/test_now.py",
    "tests/web/scenarios/test_away.py",
)

TESTS_OF: dict[str, tuple[str, ...]] = {
    "core/hooks.py": HOOKS,
    "core/ids.py": ("tests/core/test_ids.py",),
    "core/db/embedded": (),  # the development server
    "core/db/__init__.py": (
        "tests/core/db/test_db.py",
        "tests/core/db/test_casts.py",
        "tests/core/db/test_timeouts.py",
        "tests/core/db/test_prepared.py",
    ),
    "core/db/casts.py": ("tests/core/db/test_casts.py", "tests/core/hooks/test_connections.py"),
    "core/db/listener.py": ("tests/core/db/test_listener.py",),
    "core/db/pauses.py": ("tests/scheduler/daemon/test_outage.py", "tests/core/db/test_listener.py"),
    "core/db/prepared.py": ("tests/core/db/test_prepared.py",),
    "core/db/timeouts.py": ("tests/core/db/test_timeouts.py",),
    "core/db/": ("tests/core/db/test_transactions.py", "tests/core/db/test_db.py", *HOOKS),
    "core/reconcile/batches.py": (*PASS, TAKE_OVER),
    "core/reconcile/counters.py": ("tests/core/reconcile/test_counters.py",),
    "core/reconcile/log.py": ("tests/core/reconcile/test_log.py",),
    "core/reconcile/result.py": ("tests/core/reconcile/test_result.py",),
    "core/reconcile/warm_up.py": ("tests/core/reconcile/test_warm_up.py",),
    "core/reconcile/": PASS,
    "core/store/heartbeats.py": ("tests/core/store/test_heartbeats.py", "tests/scheduler/daemon/test_heartbeat.py"),
    "core/store/sessions.py": ("tests/core/store/test_sessions.py", "tests/scheduler/commands/test_loading.py"),
    "core/store/older_columns.py": (TAKE_OVER, "tests/core/scenarios/interleavings"),
    "core/store/planning/instances.py": (*PASS, "tests/core/scenarios/test_whatever_is_written.py"),
    "core/store/planning/snapshots.py": (*PASS, "tests/core/migrations/test_choices.py"),
    "core/store/arrays.py": ("tests/core/store/test_arrays.py", *PASS),
    "core/store/evenings.py": ("tests/core/store/test_evenings.py",),
    "core/store/flips.py": ("tests/core/store/test_flips.py", *PASS),
    "core/store/notify.py": (
        "tests/core/db/test_listener.py",
        "tests/scheduler/scenarios/test_notifications.py",
        *PASS,
    ),
    "core/store/presence/locations.py": (*PASS, TAKE_OVER),
    "core/store/presence/yeses.py": (*PASS, "tests/core/test_queries.py"),
    "core/store/views/boards.py": ("tests/core/store/views/test_boards.py", "tests/web/test_board.py"),
    "core/store/views/pages.py": (
        "tests/core/store/views/test_pages.py",
        "tests/core/store/views/test_reports.py",
        "tests/web/test_me.py",
        "tests/web/test_sessions.py",
    ),
    "core/store/views/places.py": ("tests/core/test_queries.py", "tests/web/test_health.py"),
    "core/store/views/readings.py": ("tests/core/store/views/test_readings.py", "tests/core/test_explain.py"),
    "core/store/views/reports.py": ("tests/core/store/views/test_reports.py", TIMELINE),
    "core/store/views/schedule.py": ("tests/core/store/views/test_schedule.py",),
    "core/store/views/search.py": ("tests/web/test_search.py", "tests/web/test_calendar.py"),
    "core/store/views/transitions.py": ("tests/core/store/views/test_transitions.py",),
    "core/store/": PASS,
    "scheduler/daemon/__init__.py": ("tests/scheduler/daemon/test_main_thread.py",),
    "scheduler/daemon/agenda.py": ("tests/scheduler/daemon/test_agenda.py", WORKER),
    "scheduler/daemon/backoff.py": (
        "tests/scheduler/daemon/test_backoff.py",
        "tests/scheduler/daemon/test_agenda.py",
        "tests/scheduler/daemon/test_housekeeping.py",
    ),
    "scheduler/daemon/clock_offset.py": (
        "tests/scheduler/daemon/test_clock_offset.py",
        "tests/scheduler/daemon/test_heartbeat.py",
    ),
    "scheduler/daemon/heartbeat.py": ("tests/scheduler/daemon/test_heartbeat.py", WORKER),
    "scheduler/daemon/housekeeping.py": ("tests/scheduler/daemon/test_housekeeping.py", WORKER),
    "scheduler/daemon/outage.py": ("tests/scheduler/daemon/test_outage.py", WORKER),
    "scheduler/daemon/timers.py": (
        "tests/scheduler/daemon/test_timers.py",
        "tests/scheduler/daemon/test_heartbeat.py",
        WORKER,
    ),
    "scheduler/daemon/wakeups.py": ("tests/scheduler/daemon/test_wakeups.py", WORKER),
    "scheduler/daemon/worker.py": (WORKER,),
    "web/attendance.py": ("tests/web/test_attendance.py",),
    "web/blueprint.py": (*PAGES, "tests/web/test_health.py", "tests/web/test_me.py"),
    "web/cancelling.py": ("tests/web/test_cancelling.py", "tests/web/test_changing.py"),
    "web/changing.py": ("tests/web/test_changing.py",),
    "web/dates.py": ("tests/web/test_dates.py", *PAGES),
    "web/edit.py": PAGES,
    "web/forms.py": ("tests/web/test_forms.py",),
    "web/host.py": ("tests/web/test_operators.py", *PAGES),
    "web/instances.py": PAGES,
    "web/operators.py": ("tests/web/test_operators.py",),
    "web/sessions.py": PAGES,
}


def tests_of(module: str) -> tuple[str, ...]:
    """Return the tests for a module, none if it is not mutated."""
    return next((tests for path, tests in TESTS_OF.items() if module.startswith(path)), ())


def closest_test(module: str) -> str:
    """Return the test module that mirrors a module, as `tests/test_mirror.py` knows it."""
    path = Path(module)
    name = path.parent.name if path.stem == "__init__" else path.stem
    return f"tests/{COVERED_BY.get(module) or path.parent / f'test_{name}.py'}"
