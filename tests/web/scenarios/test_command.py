"""`python -m web` ends when it is told to: also when it is told more than once, as the demonstration does."""

import json
import signal
import subprocess
import sys
import time
import urllib.request

import pytest

from tests.commands import ROOT, environment, libpq_variables

pytestmark = pytest.mark.process


def test_it_goes_by_libpqs_variables_where_database_url_is_missing(database_url: str) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "web", "--port", "0"],
        cwd=ROOT,
        env=environment(**libpq_variables(database_url)),
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout
        address = process.stdout.readline().strip()
        with urllib.request.urlopen(f"{address}healthz") as answer:
            assert json.load(answer)["ok"]
    finally:
        process.terminate()
        process.communicate(timeout=10)


@pytest.mark.parametrize("option", [[], ["--with-parent"]], ids=["alone", "with its parent"])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_ends_without_a_traceback_although_it_is_told_again_and_again(
    database_url: str, number: signal.Signals, option: list[str]
) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "web", "--port", "0", *option],
        cwd=ROOT,
        env=environment(DATABASE_URL=database_url),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout
        assert process.stdout.readline().startswith("http://127.0.0.1:")
        deadline = time.monotonic() + 20
        while process.poll() is None and time.monotonic() < deadline:
            process.send_signal(number)
            time.sleep(0.0005)
        _, errors = process.communicate(timeout=1)
    finally:
        process.kill()
        process.wait()
    assert (process.returncode, errors) == (0, "")
