"""From a module one finds its test by name.

`core/rules/flips.py` has `tests/core/rules/test_flips.py`, or a folder `tests/core/rules/flips/` with tests. A package
`core/db/__init__.py` has `tests/core/db/test_db.py`. The tests of a whole (races, faults, scale) are in folders named
`scenarios`, and in `tests/faults`. A module without a test module of its own stands in `COVERED_BY`.
"""

import ast
from pathlib import Path

import pytest

from tests.commands import ROOT

TESTS = ROOT / "tests"
PRODUCT = ("core", "scheduler", "jobs", "web", "seisiun")

COVERED_BY = {
    "core/adoption/catalogue.py": "core/adoption/test_check.py",
    "core/adoption/evenings.py": "core/adoption/test_check.py",
    "core/adoption/findings.py": "core/adoption/test_check.py",
    "core/clock.py": "scheduler/daemon/test_timers.py",
    "core/db/pauses.py": "core/db/test_listener.py",
    "core/db/transaction_settings.py": "core/hooks/test_connections.py",
    "core/db/embedded/guard.py": "core/db/embedded/test_embedded.py",
    "core/errors.py": "core/hooks/test_check_in.py",
    "core/migrations/__init__.py": "core/migrations/test_fresh_database.py",
    "core/migrations/env.py": "core/migrations/test_fresh_database.py",
    "core/migrations/versions/0001_first_schema.py": "core/migrations/test_triggers.py",
    "core/migrations/versions/0002_reliability.py": "core/migrations/test_adoption.py",
    "core/migrations/versions/0003_live_windows.py": "core/migrations/test_adoption.py",
    "core/migrations/versions/0005_hardened.py": "core/migrations/test_privileges.py",
    "core/migrations/inventory.py": "core/adoption/test_check.py",
    "core/migrations/older_columns.py": "core/adoption/test_takeover.py",
    "core/migrations/definition.py": "core/migrations/test_damage.py",
    "core/migrations/versions/0004_true_whatever_is_written.py": "core/scenarios/test_whatever_is_written.py",
    "core/migrations/versions/0006_notifications.py": "scheduler/scenarios/test_notifications.py",
    "core/migrations/versions/0007_leaving.py": "core/migrations/test_triggers.py",
    "core/migrations/versions/0008_transitions.py": "core/store/views/test_transitions.py",
    "core/migrations/versions/0009_last_seen.py": "core/store/test_heartbeats.py",
    "core/migrations/versions/0013_searches.py": "web/test_search.py",
    "core/migrations/versions/0010_counters.py": "core/store/test_heartbeats.py",
    "core/migrations/versions/0011_writes_of_triggers.py": "core/migrations/test_triggers.py",
    "core/migrations/versions/0012_desk.py": "core/test_explain.py",
    "core/choices.py": "core/migrations/test_choices.py",
    "core/models.py": "core/migrations/test_fresh_database.py",
    "core/status.py": "scheduler/scenarios/test_health.py",
    "core/recurrence/leniency.py": "core/recurrence/test_json_text.py",
    "core/recurrence/schedules.py": "core/recurrence/test_recurrence.py",
    "core/recurrence/rfc5545/rrule.py": "core/recurrence/rfc5545/test_text.py",
    "core/recurrence/rfc5545/values.py": "core/recurrence/rfc5545/test_text.py",
    "core/rules/planned_state.py": "core/rules/test_simulation.py",
    "core/rules/explanation/case.py": "core/rules/explanation/test_explanation.py",
    "core/rules/explanation/reading.py": "core/rules/explanation/test_explanation.py",
    "core/rules/explanation/steps.py": "core/rules/explanation/test_explanation.py",
    "core/rules/explanation/verdict.py": "core/rules/explanation/test_explanation.py",
    "core/rules/explanation/wording.py": "core/rules/explanation/test_explanation.py",
    "core/rules/binding.py": "core/rules/test_planner.py",
    "core/store/hold.py": "core/reconcile/test_ahead.py",
    "core/store/older_columns.py": "core/adoption/test_takeover.py",
    "core/store/notify.py": "core/db/test_listener.py",
    "core/store/queue/due.py": "core/reconcile/test_batches.py",
    "core/store/views/places.py": "core/test_queries.py",
    "core/store/views/search.py": "web/test_search.py",
    "scheduler/__main__.py": "scheduler/test_cli.py",
    "scheduler/commands/database.py": "scheduler/test_cli.py",
    "scheduler/commands/demo_pages.py": "scheduler/commands/test_demo.py",
    "scheduler/commands/screens.py": "scheduler/test_cli.py",
    "scheduler/commands/status.py": "scheduler/scenarios/test_health.py",
    "seisiun/__main__.py": "seisiun/test_main.py",
    "web/__main__.py": "web/scenarios/test_command.py",
    "web/app.py": "web/scenarios/test_refusals.py",
    "web/gunicorn_config.py": "web/scenarios/test_streams.py",
    "web/hub.py": "web/test_stream.py",
    "web/metrics.py": "web/test_health.py",
    "web/settings.py": "web/scenarios/test_refusals.py",
}


def has_code(module: Path) -> bool:
    """A module of docstrings and imports alone has none."""
    body = ast.parse(module.read_text(encoding="utf-8")).body
    return any(
        not isinstance(node, ast.Import | ast.ImportFrom)
        and not (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant))
        and not (isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) in {"__all__", "__version__"})
        for node in body
    )


MODULES = sorted(
    str(module.relative_to(ROOT))
    for package in PRODUCT
    for module in (ROOT / package).rglob("*.py")
    if has_code(module)
)


def mirrors(module: str) -> bool:
    path = Path(module)
    folder = TESTS / path.parent
    name = path.parent.name if path.stem == "__init__" else path.stem
    return (folder / f"test_{name}.py").is_file() or any((folder / name).glob("test_*.py"))


@pytest.mark.parametrize("module", MODULES)
def test_each_module_has_a_test_where_its_name_says_or_where_the_table_says(module: str) -> None:
    assert mirrors(module) != (module in COVERED_BY), f"{module}: a test module of its own, or a line in COVERED_BY"


@pytest.mark.parametrize("module", COVERED_BY)
def test_the_table_names_modules_and_tests_that_exist(module: str) -> None:
    assert module in MODULES
    assert (TESTS / COVERED_BY[module]).is_file()
