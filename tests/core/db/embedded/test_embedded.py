"""A real server, real processes, and kill -9."""

import os
import shutil
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Self

import psutil
import psycopg2
import pytest

from core.db.embedded import WHEEL, EmbeddedPostgres, all_binaries, binaries, connect_or_start, major_version
from core.db.embedded.guard import give_up_root
from core.errors import DatabaseUnavailable

pytestmark = pytest.mark.process

ROOT = Path(__file__).parents[4]
AS_ROOT = os.geteuid() == 0

# Starts or joins the server of a directory, says so, and keeps it until its standard input ends.
OWNER = """
import os, sys
from pathlib import Path
from core.db.embedded import connect_or_start
with connect_or_start(Path(sys.argv[1]), durable=False) as server:
    if "fork" in sys.argv and not os.fork():
        sys.stdin.read()
        os._exit(0)
    print(os.geteuid(), server.owned, server.url, flush=True)
    sys.stdin.read()
"""


class Owner:
    """Another process that uses the directory."""

    def __init__(self, directory: Path, *arguments: str, nobody: bool = False) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", OWNER, str(directory), *arguments],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            preexec_fn=(lambda: give_up_root(directory)) if nobody else None,  # noqa: PLW1509 - takes no lock
        )

    def answer(self) -> tuple[int, bool, str]:
        assert self.process.stdout
        uid, owned, url = self.process.stdout.readline().split()
        return int(uid), owned == "True", url

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.communicate()


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory whose cluster is made once; each test starts it and leaves it stopped."""
    return tmp_path_factory.mktemp("embedded") / "shared"


@pytest.fixture
def server(directory: Path) -> Iterator[EmbeddedPostgres]:
    with connect_or_start(directory, durable=False) as server:
        yield server


def ask(url: str, question: str) -> object:
    connection = psycopg2.connect(url)
    try:
        with connection, connection.cursor() as cursor:
            cursor.execute(question)
            row = cursor.fetchone()
            assert row is not None
            return row[0]
    finally:
        connection.close()


def postmaster(directory: Path) -> psutil.Process:
    return psutil.Process(int((directory / "data/postmaster.pid").read_text().split("\n")[0]))


def family(directory: Path) -> list[psutil.Process]:
    """The guard, the server, and all its workers."""
    server = postmaster(directory)
    guard = server.parent()
    assert guard is not None
    return [guard, server, *server.children(recursive=True)]


def alive(process: psutil.Process) -> bool:
    try:
        return bool(process.status() != psutil.STATUS_ZOMBIE)  # in a container nobody may collect orphans
    except psutil.NoSuchProcess:
        return False


def assert_all_end(processes: list[psutil.Process]) -> None:
    deadline = time.monotonic() + 8
    while any(map(alive, processes)) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert [each for each in processes if alive(each)] == []


def paste(command: str) -> str:
    return subprocess.check_output(["/bin/sh", "-c", command], text=True)


def test_serves_utf8_in_utc_to_a_hundred_connections(server: EmbeddedPostgres) -> None:
    assert server.owned
    assert ask(server.url, "SELECT lower('SEISIÚN ŁÓDŹ')") == "seisiún łódź"
    assert ask(server.url, "SHOW timezone") == "UTC"
    assert ask(server.url, "SHOW max_connections") == "100"
    assert ask(server.url, "SHOW fsync") == "off"


def test_is_durable_unless_told_otherwise(directory: Path) -> None:
    with connect_or_start(directory) as server:
        assert ask(server.url, "SHOW fsync") == "on"
        assert ask(server.url, "SHOW full_page_writes") == "on"


def test_keeps_what_was_written_when_it_stops(directory: Path) -> None:
    with connect_or_start(directory, durable=False) as server:
        ask(server.url, "CREATE TABLE kept AS SELECT 42 AS answer; SELECT 1")
    with connect_or_start(directory, durable=False) as server:
        assert ask(server.url, "SELECT answer FROM kept") == 42


def test_stop_may_be_called_twice_and_leaves_no_process(directory: Path) -> None:
    server = connect_or_start(directory, durable=False)
    processes = family(directory)
    server.stop()
    server.stop()
    assert [each for each in processes if alive(each)] == []


def test_the_psql_command_can_be_pasted_into_a_shell(server: EmbeddedPostgres) -> None:
    assert paste(f"{server.psql} -Atc 'SELECT 2 + 2'") == "4\n"
    assert psycopg2.extensions.parse_dsn(server.url)["password"] not in server.psql


def test_lets_nobody_in_without_the_password(server: EmbeddedPostgres) -> None:
    with pytest.raises(psycopg2.OperationalError, match="password authentication failed"):
        psycopg2.connect(server.url, password="guess")
    assert ask(server.url, "SHOW listen_addresses") == "127.0.0.1"
    assert ask(server.url, "SHOW unix_socket_directories") == ""
    assert stat.S_IMODE((server.log.parent / "pgpass").stat().st_mode) == 0o600
    assert stat.S_IMODE(server.log.parent.stat().st_mode) == 0o700


def test_another_process_joins_the_running_server_and_does_not_stop_it(
    server: EmbeddedPostgres, directory: Path
) -> None:
    with Owner(directory) as other:
        assert other.answer() == (os.geteuid(), False, server.url)
    assert ask(server.url, "SELECT 1") == 1


def test_the_same_process_joins_its_own_server(server: EmbeddedPostgres, directory: Path) -> None:
    with connect_or_start(directory) as joined:
        assert (joined.owned, joined.url) == (False, server.url)
    assert ask(server.url, "SELECT 1") == 1


def test_of_processes_that_start_at_once_one_makes_the_server_and_all_share_it(tmp_path: Path) -> None:
    owners = [Owner(tmp_path / "postgres") for _ in range(4)]
    answers = [owner.answer() for owner in owners]
    for owner in owners:
        owner.process.communicate()
    assert sorted(owned for _, owned, _ in answers) == [False, False, False, True]
    assert len({url for _, _, url in answers}) == 1


def test_ends_when_its_owner_is_killed(directory: Path) -> None:
    with Owner(directory) as owner:
        owner.answer()
        processes = family(directory)
        owner.process.kill()
        assert_all_end(processes)


def test_ends_when_its_owner_is_killed_and_a_fork_of_it_lives_on(directory: Path) -> None:
    with Owner(directory, "fork") as owner:
        owner.answer()
        processes = family(directory)
        owner.process.kill()
        assert_all_end(processes)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has a parent-death signal")
def test_ends_when_its_guard_is_killed(directory: Path) -> None:
    with Owner(directory) as owner:
        owner.answer()
        guard, *processes = family(directory)
        guard.kill()
        assert_all_end(processes)


def test_a_terminated_guard_shuts_the_server_down(directory: Path) -> None:
    with Owner(directory) as owner:
        owner.answer()
        guard, *processes = family(directory)
        guard.terminate()
        assert_all_end(processes)


def test_starts_again_with_all_that_was_committed_after_everything_was_killed(directory: Path) -> None:
    with Owner(directory) as owner:
        _, _, url = owner.answer()
        ask(url, "CREATE TABLE committed AS SELECT 42 AS answer; SELECT 1")
        guard, server_process, *_ = family(directory)
        guard.suspend()  # so that it cannot shut the server down
        for process in (server_process, guard, owner.process):
            process.kill()
    assert (directory / "data/postmaster.pid").exists()
    with connect_or_start(directory, durable=False) as server:
        assert server.owned
        assert ask(server.url, "SELECT answer FROM committed") == 42


def test_a_stale_pid_that_is_another_process_by_now_does_not_matter(directory: Path) -> None:
    with connect_or_start(directory, durable=False):
        left_behind = (directory / "data/postmaster.pid").read_text()
    _, *rest = left_behind.split("\n")
    (directory / "data/postmaster.pid").write_text("\n".join([str(os.getpid()), *rest]))
    with connect_or_start(directory, durable=False) as server:
        assert server.owned


def test_a_first_start_that_was_cut_off_is_done_over(tmp_path: Path) -> None:
    unfinished = tmp_path / "data.unfinished"
    unfinished.mkdir()
    (unfinished / "PG_VERSION").write_text("18\n")
    with connect_or_start(tmp_path, durable=False) as server:
        assert ask(server.url, "SELECT 1") == 1
    assert not unfinished.exists()


def test_runs_in_a_long_path_with_spaces_and_quotes(directory: Path, tmp_path: Path) -> None:
    connect_or_start(directory, durable=False).stop()
    crooked = tmp_path / 'Seán\'s "session" $HOME' / ("long" * 40)
    shutil.copytree(directory, crooked)
    with connect_or_start(crooked, durable=False) as server:
        assert len(str(crooked)) > 107
        assert paste(f"{server.psql} -Atc 'SELECT 2 + 2'") == "4\n"


@pytest.mark.skipif(not AS_ROOT, reason="only root can be refused by PostgreSQL, and only root has such folders")
def test_as_root_it_runs_below_a_folder_of_root_alone_and_leaves_that_as_it_is(tmp_path: Path) -> None:
    parent = tmp_path / "private"
    parent.mkdir(mode=0o700)
    bin_dir = copy_of_binaries(parent)
    before = parent.stat()
    with connect_or_start(parent / "postgres", bin_dir=bin_dir, durable=False) as server:
        assert postmaster(parent / "postgres").uids().effective != 0
        assert ask(server.url, "SELECT 1") == 1
    after = parent.stat()
    assert (after.st_mode, after.st_uid, after.st_gid) == (before.st_mode, before.st_uid, before.st_gid)


def copy_of_binaries(parent: Path) -> Path:
    """Programs that only root can reach, as in a clone below such a folder; what they load is where it was."""
    wheel = binaries().parent
    copy = parent / WHEEL / wheel.name
    (copy / "bin").mkdir(parents=True)
    for program in ("initdb", "postgres"):
        shutil.copy(wheel / "bin" / program, copy / "bin")
    for folder in ("lib", "share"):
        (copy / folder).symlink_to(wheel / folder)
    (parent / f"{WHEEL}.libs").symlink_to(wheel.parent.parent / f"{WHEEL}.libs")
    return copy / "bin"


@pytest.mark.skipif(not AS_ROOT, reason="the other tests run as a normal user already")
def test_as_a_normal_user_it_runs_as_that_user(tmp_path: Path) -> None:
    with Owner(tmp_path, nobody=True) as owner:
        uid, owned, url = owner.answer()
        assert uid != 0
        assert owned
        assert postmaster(tmp_path).uids().effective == uid
        assert ask(url, "SELECT 1") == 1


def test_a_start_that_fails_shows_the_end_of_the_log(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir(mode=0o700)
    (tmp_path / "data/PG_VERSION").write_text(f"{major_version(binaries())}\n")
    with pytest.raises(DatabaseUnavailable, match=r"could not access the server configuration file"):
        connect_or_start(tmp_path)


def test_a_cluster_of_another_version_is_refused_and_left_alone(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data/PG_VERSION").write_text("9\n")
    ours = major_version(binaries())
    with pytest.raises(DatabaseUnavailable, match=rf"PostgreSQL 9, and .* PostgreSQL {ours}\. Nothing was changed"):
        connect_or_start(tmp_path)
    assert [each.name for each in tmp_path.rglob("*")] == ["data", "PG_VERSION"]


def test_a_directory_that_cannot_be_made_is_an_error_that_names_it(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(DatabaseUnavailable, match=r"PostgreSQL cannot run in .*file/postgres"):
        connect_or_start(tmp_path / "file/postgres")


def test_without_the_wheel_it_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, WHEEL, None)
    with pytest.raises(DatabaseUnavailable, match=r"pip install .*DATABASE_URL"):
        binaries()


def test_of_the_versions_in_the_wheel_the_newest_is_taken() -> None:
    versions = [major_version(each) for each in all_binaries()]
    assert major_version(binaries()) == max(versions)
