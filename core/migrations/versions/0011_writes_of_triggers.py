"""Our triggers also notice what the app's own BEFORE UPDATE triggers change."""

from alembic import op

from core.choices import DEACTIVATED_PEOPLE, PLAN_AHEAD_FROM, PLAN_ONLY_WHERE, read
from core.migrations import choices
from core.migrations.live import Trigger, make_triggers, scalar, step

revision = "0011"
down_revision = "0010"


def _updated(*names: str) -> str:
    """Return when a trigger fires: for PostgreSQL, UPDATE OF would mean only what the statement itself sets."""
    old, new = (", ".join(f"{row}.{name}" for name in names) for row in ("OLD", "NEW"))
    return f"AFTER UPDATE ON {{table}} FOR EACH ROW WHEN (({old}) IS DISTINCT FROM ({new}))"


SESSION_CHANGED = _updated(
    "recurrence",
    "timezone",
    "initiation_date",
    "termination_date",
    "active_buffer_minutes_before",
    "active_buffer_minutes_after",
)
INSTANCE_CHANGED = _updated("session_id", "date", "start_time", "end_time", "is_cancelled", "active")
CHECK_IN_CHANGED = _updated("session_instance_id", "person_id", "attendance", "checked_in_at", "left_at")
BY_HAND = (
    "AFTER UPDATE ON {table} FOR EACH ROW WHEN ("
    "OLD.active_session_instance_id IS DISTINCT FROM NEW.active_session_instance_id "
    "AND current_setting('seisiun.own_write', true) IS DISTINCT FROM 'on')"
)
RESTORED = "BEFORE UPDATE ON {table} FOR EACH ROW WHEN (OLD.is_cancelled IS TRUE AND NEW.is_cancelled IS NOT TRUE)"
SAID_YES = "BEFORE INSERT OR UPDATE ON {table} FOR EACH ROW WHEN (NEW.attendance = 'yes')"

# PostgreSQL fires BEFORE triggers by name: the two that begin with zz come after whatever the app's own have set.
TRIGGERS: tuple[Trigger, ...] = (
    ("session", "seisiun_session_updated", SESSION_CHANGED, "seisiun_session_saved"),
    ("session_instance", "seisiun_instance_updated", INSTANCE_CHANGED, "seisiun_instance_saved"),
    ("session_instance", "seisiun_mirror_updated", _updated("active", "session_id"), "seisiun_mirror_active"),
    ("session_instance", "zz_seisiun_instance_restored", RESTORED, "seisiun_instance_restored"),
    ("session_instance_person", "seisiun_check_in_updated", CHECK_IN_CHANGED, "seisiun_check_in_saved"),
    ("session_instance_person", "zz_seisiun_said_yes", SAID_YES, "seisiun_said_yes"),
    ("person", "seisiun_pointer_written", BY_HAND, "seisiun_pointer_written"),
)
REPLACED_TRIGGERS = {
    "seisiun_instance_restored": "session_instance",
    "seisiun_said_yes": "session_instance_person",
}
OF_CHOICES = (DEACTIVATED_PEOPLE, PLAN_ONLY_WHERE, PLAN_AHEAD_FROM)


def upgrade() -> None:
    """Replace triggers, those of the database's choices too; a daemon of the previous release works on."""
    make_triggers(TRIGGERS)
    for name, table in REPLACED_TRIGGERS.items():
        if scalar("SELECT 1 FROM pg_trigger WHERE tgrelid = to_regclass(:table) AND tgname = :n", table=table, n=name):
            step(f"DROP TRIGGER IF EXISTS {name} ON {table}")
    chosen = read(op.get_bind())
    make_triggers(choices.triggers({name: chosen[name] for name in OF_CHOICES if name in chosen}))
