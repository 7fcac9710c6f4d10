"""Which tests may notice a mutant of which module: the first row whose path the module's path begins with.

The tests that compare statements with their text (`tests/core/store/test_statements.py`) are in no row: they notice
every change, and tell nothing of what the change breaks.
"""

HOOKS = ("tests/core/hooks", "tests/core/active_session_manager/test_app_transactions.py")
DAEMON = ("tests/scheduler/daemon", "tests/scheduler/scenarios/test_daemon_faults.py")
WEB = ("tests/web/test_host.py", "tests/web/test_sessions.py", "tests/web/test_instances.py")
PASS = ("tests/core/reconcile", *HOOKS, "tests/core/scenarios/test_austin.py")

TESTS_OF: dict[str, tuple[str, ...]] = {
    "core/hooks.py": HOOKS,
    "core/db/embedded": (),  # the development server
    "core/db/casts.py": ("tests/core/db/test_casts.py", *HOOKS),
    "core/db/listener.py": ("tests/core/db/test_listener.py",),
    "core/db/pauses.py": ("tests/core/db/test_listener.py",),
    "core/db/timeouts.py": ("tests/core/db/test_timeouts.py",),
    "core/db/__init__.py": ("tests/core/db/test_db.py",),
    "core/db/": (*HOOKS, "tests/core/reconcile"),
    "core/reconcile/": PASS,
    "core/store/views/": ("tests/core/test_queries.py", "tests/web"),
    "core/store/": PASS,
    "scheduler/daemon/": DAEMON,
    "web/": WEB,
}


def tests_of(module: str) -> tuple[str, ...]:
    """Return the tests for a module, none if it is not mutated."""
    return next((tests for path, tests in TESTS_OF.items() if module.startswith(path)), ())
