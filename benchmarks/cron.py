"""What cron starts every 15 minutes: a script that flips whatever has come due since its last run, and ends.

Run as `python -m benchmarks.cron URL`; it says `event=ready` when all is flipped.
"""

import sys
from contextlib import closing

from benchmarks import floor
from benchmarks.server import run

_DUE = "SELECT session_instance_id FROM activation_window WHERE phase = 'ahead' AND opens_at <= now()"


def main() -> None:
    """Flip what is due, in one transaction."""
    with closing(floor.connection(sys.argv[1])) as connection:
        floor.open_instances(connection, [id_ for (id_,) in run(connection, _DUE)])
    print("event=ready", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
