"""The app, and its owner."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.adoption.deployed import Tracker, tracker
from tests.adoption.owner import Owner
from tests.postgres import Server
from tests.scheduler.daemon_process import Daemons


@pytest.fixture
def app(server: Server, tmp_path: Path) -> Iterator[Tracker]:
    with tracker(tmp_path, server) as app:
        yield app


@pytest.fixture
def owner(app: Tracker, tmp_path: Path) -> Iterator[Owner]:
    with Daemons(tmp_path) as daemons:
        yield Owner(app, daemons)
