"""Bring all sessions up to date; cron runs this at 14, 29, 44 and 59 minutes past the hour."""

import sys
from contextlib import closing
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from tracker import active_sessions, db

if __name__ == "__main__":
    with closing(db.connect()) as connection:
        active_sessions.update_active_sessions(connection)
