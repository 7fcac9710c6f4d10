"""The commands: `python -m seisiun COMMAND`, and `seisiun COMMAND` where it is installed by name.

They are those of `python -m scheduler`, and `sweep`, which cron runs.
"""

import sys


def main() -> None:
    """Run the command that the arguments name."""
    try:
        from core import streams  # noqa: PLC0415
        from jobs.check_active_sessions import main as sweep  # noqa: PLC0415
        from scheduler.cli import main as commands  # noqa: PLC0415
    except ModuleNotFoundError as error:  # an app that only calls hooks has not installed what commands need
        sys.exit(f"seisiun: the commands need {error.name}: install seisiun[daemon]")
    streams.prepare()
    commands.add_command(sweep, "sweep")
    commands()


if __name__ == "__main__":
    main()
