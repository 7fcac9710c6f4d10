"""The app's owner, who takes Seisiún in step by step, and can go back at each step."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from tests.adoption.deployed import Tracker
from tests.scheduler.daemon_process import DaemonProcess, Daemons, eventually

# The app's own columns that say which sessions get rows, and how long before.
PLANNING = ("--plan-only-where", "auto_create_instances", "--plan-ahead-from", "auto_create_hours_ahead")


@dataclass
class Owner:
    """Does the steps; each raises an error that shows what was printed, if a command fails."""

    app: Tracker
    daemons: Daemons
    daemon: DaemonProcess | None = field(default=None, init=False)

    def check(self) -> Any:
        """Return what `adopt --check` found, with its exit status."""
        checked = self.app.seisiun("adopt", "--check", "--json", *PLANNING)
        assert checked.stdout, checked.stderr
        return json.loads(checked.stdout) | {"status": checked.returncode}

    def migrate(self) -> None:
        self._run("migrate", *PLANNING)

    def remove(self) -> None:
        self._run("adopt", "--remove")

    def start_daemon(self) -> None:
        self.daemon = self.daemons.ready("", **self.app.variables)
        eventually(lambda: self.app.seisiun("status").returncode == 0, "status says that all is well")

    def stop_daemon(self) -> None:
        assert self.daemon
        status, _ = self.daemon.stop()
        assert status == 0

    def mirror(self) -> None:
        self._run("adopt", "--mirror")

    def drop_mirror(self) -> None:
        self._run("adopt", "--drop-mirror")

    def deploy_edit(self) -> None:
        self.app.edit()
        self.app.deploy()

    def deploy_older_code(self) -> None:
        self.app.undo_edit()
        self.app.deploy()

    def drop_older_foreign_key(self) -> None:
        self.app.run_sql("adoption/drop_older_foreign_key.sql")

    def make_older_foreign_key(self) -> None:
        self.app.run_sql("adoption/make_older_foreign_key.sql")

    def drop_older_columns(self) -> None:
        self.app.run_sql("adoption/drop_older_columns.sql")

    def make_older_columns(self) -> None:
        self.app.run_sql("adoption/make_older_columns.sql")

    def _run(self, *arguments: str) -> None:
        done = self.app.seisiun(*arguments)
        assert done.returncode == 0, done.stdout + done.stderr


class Control(Enum):
    """What a step starts, done without a step: the processor's time that it costs whatever is started."""

    COMMANDS = "commands that do nothing"
    DEPLOYS = "deploys of the same code"
    NOTHING = "nothing"

    def do(self, app: Tracker) -> None:
        """Do it once."""
        if self is Control.COMMANDS:
            app.seisiun("--version")  # it imports all that a command imports, and looks at no database
        elif self is Control.DEPLOYS:
            app.deploy()


@dataclass(frozen=True, slots=True)
class Step:
    """A step of the take-over, and the one that undoes it. `control`: what costs the machine as much, and is not us."""

    name: str
    do: Callable[[Owner], None]
    undo: Callable[[Owner], None]
    control: Control


MIRROR = Step("mirror", Owner.mirror, Owner.drop_mirror, Control.COMMANDS)
DEPLOY_THE_EDIT = Step("deploy the edit", Owner.deploy_edit, Owner.deploy_older_code, Control.DEPLOYS)
DROP_THE_MIRROR = Step("drop the mirror", Owner.drop_mirror, Owner.mirror, Control.COMMANDS)
DROP_THE_OLDER_COLUMNS = Step(
    "drop the older columns", Owner.drop_older_columns, Owner.make_older_columns, Control.NOTHING
)
STEPS = (
    Step("migrate", Owner.migrate, Owner.remove, Control.COMMANDS),
    Step("start the daemon", Owner.start_daemon, Owner.stop_daemon, Control.COMMANDS),
    MIRROR,
    DEPLOY_THE_EDIT,
    Step("drop the older foreign key", Owner.drop_older_foreign_key, Owner.make_older_foreign_key, Control.NOTHING),
    DROP_THE_MIRROR,
    DROP_THE_OLDER_COLUMNS,
)
