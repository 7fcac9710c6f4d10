"""Three nodes of Patroni, etcd and HAProxy as processes of this machine, with the configuration of `deploy/ha`."""

import contextlib
import json
import os
import pwd
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from base64 import b64encode
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import psycopg2
import pytest
import yaml
from packaging.version import Version
from psycopg2.extensions import connection as Connection  # noqa: N812 - it is a class

from tests.commands import ROOT
from tests.data import value
from tests.faults.proxy import HOST
from tests.postgres import every_version
from tests.scheduler.daemon_process import eventually

CONFIGURATION = ROOT / "deploy" / "ha"
PROGRAMS = {name: shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin") for name in ("patroni", "etcd", "haproxy")}
# In 3.0.2 a primary that was silent takes the lock again when it comes back, and what its successor wrote is lost.
OLDEST_PATRONI = Version("3.0.3")
NAMES = ("one", "two", "three")
PASSWORD = "bench"
STARTS_WITHIN_SECONDS = 180.0  # a server that is copied or rewound on a busy machine
# What the servers need here, and not in production.
PARAMETERS = {
    "track_commit_timestamp": "on",
    "max_connections": 100,
    "shared_buffers": "32MB",
    "wal_keep_size": "128MB",
}


def missing() -> list[str]:
    """Return what this machine lacks."""
    if patroni := PROGRAMS["patroni"]:
        version = subprocess.run([patroni, "--version"], capture_output=True, text=True, check=True).stdout.split()[-1]
        older = [f"patroni {OLDEST_PATRONI} (it has {version})"] if Version(version) < OLDEST_PATRONI else []
    else:
        older = []
    return older + [name for name, program in PROGRAMS.items() if program is None]


class Program:
    """A process, its log, and all that descend from it."""

    def __init__(self, name: str, *arguments: str, log: Path, **environment: str) -> None:
        program = PROGRAMS[name]
        assert program
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                [program, *arguments],
                cwd=log.parent,
                env={"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8", **environment},
                stdout=output,
                stderr=output,
                start_new_session=True,
                **_nobody(),
            )

    def signal(self, number: signal.Signals) -> None:
        for each in _with_descendants(self._process.pid):
            with contextlib.suppress(psutil.NoSuchProcess):
                each.send_signal(number)

    def kill(self) -> None:
        self.signal(signal.SIGKILL)
        self._process.wait()


def _with_descendants(pid: int) -> list[psutil.Process]:
    try:
        process = psutil.Process(pid)
        return [process, *process.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


class Node:
    """One node: Patroni, and the PostgreSQL that it starts."""

    def __init__(self, name: str, directory: Path, etcd: str) -> None:
        self.name = name
        self.directory = directory
        self.port, self.patroni_port = _free_ports(2)
        self._settings = _settings_of_node() | {
            "PATRONI_NAME": name,
            "PATRONI_RESTAPI_LISTEN": f"{HOST}:{self.patroni_port}",
            "PATRONI_RESTAPI_CONNECT_ADDRESS": f"{HOST}:{self.patroni_port}",
            "PATRONI_POSTGRESQL_LISTEN": f"{HOST}:{self.port}",
            "PATRONI_POSTGRESQL_CONNECT_ADDRESS": f"{HOST}:{self.port}",
            "PATRONI_POSTGRESQL_DATA_DIR": str(directory / name),
            "PATRONI_POSTGRESQL_BIN_DIR": str(_binaries()),
            "PATRONI_POSTGRESQL_PGPASS": str(directory / f"{name}.pgpass"),
            "PATRONI_ETCD3_HOSTS": etcd,
        }
        self.up = False
        self._patroni: Program | None = None

    @property
    def url(self) -> str:
        """The superuser's, of this node alone."""
        return f"postgresql://postgres:{PASSWORD}@{HOST}:{self.port}/postgres"

    def start(self) -> None:
        self.up = True
        log = self.directory / f"{self.name}.log"
        self._patroni = Program("patroni", str(self.directory / "patroni.yml"), log=log, **self._settings)

    def kill(self) -> None:
        """End all its processes at once, as when the machine is lost."""
        self._signal(signal.SIGKILL)
        if self._patroni:
            self._patroni.kill()

    def pause(self) -> None:
        """Stop all its processes: whoever is connected hears nothing, and whoever connects is not answered."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        self._signal(signal.SIGCONT)

    def _signal(self, number: signal.Signals) -> None:
        """To Patroni first, so that it does not see its server end. It is not the server's parent."""
        self.up = number is signal.SIGCONT
        if self._patroni:
            self._patroni.signal(number)
        for each in self._postgres():
            with contextlib.suppress(psutil.NoSuchProcess):
                each.send_signal(number)

    def _postgres(self) -> list[psutil.Process]:
        """Return the server's processes. The file of a killed server may name a process of somebody else by now."""
        data = self.directory / self.name
        with contextlib.suppress(FileNotFoundError, psutil.Error):
            postmaster = int((data / "postmaster.pid").read_text().split()[0])
            if psutil.Process(postmaster).cwd() == str(data):
                return _with_descendants(postmaster)
        return []

    def can_be_written_to(self) -> bool:
        """Ask the server itself."""
        if not self.up:
            return False
        try:
            with contextlib.closing(psycopg2.connect(self.url, connect_timeout=2)) as connection:
                return bool(value(connection, "SHOW transaction_read_only") == "off")
        except psycopg2.Error:
            return False

    def ask(self, path: str, **body: Any) -> Any:
        """Ask Patroni; POST if there is a body. None if it does not answer."""
        by = b64encode(f"patroni:{PASSWORD}".encode()).decode()
        request = urllib.request.Request(
            f"http://{HOST}:{self.patroni_port}{path}",
            data=json.dumps(body).encode() if body else None,
            headers={"Authorization": f"Basic {by}"},
        )
        try:
            with urllib.request.urlopen(request, timeout=60 if body else 2) as answer:
                text = answer.read().decode()
        except (OSError, urllib.error.HTTPError):
            return None
        return json.loads(text) if text.startswith("{") else text


class Cluster:
    """The nodes, etcd and HAProxy; `synchronous` as `synchronous_mode` in `deploy/ha/patroni.yml`."""

    def __init__(self, directory: Path, *, synchronous: bool) -> None:
        self._directory = directory
        self._synchronous = synchronous
        self._etcd_ports = _free_ports(2)
        self.nodes = [Node(name, directory, f"{HOST}:{self._etcd_ports[0]}") for name in NAMES]
        [self._port] = _free_ports(1)
        self._etcd: Program | None = None
        self._haproxy: Program | None = None
        self._write_patroni_yml()
        self._write_haproxy_cfg()

    def start(self) -> None:
        """Start everything, and return when the cluster is whole."""
        self.start_etcd()
        for node in self.nodes:
            node.start()
        self._haproxy = Program("haproxy", "-db", "-f", "haproxy.cfg", log=self._directory / "haproxy.log")
        self.wait_until_whole()

    def _write_patroni_yml(self) -> None:
        configuration = yaml.safe_load((CONFIGURATION / "patroni.yml").read_text().replace("10.0.0.0/24", f"{HOST}/32"))
        dcs = configuration["bootstrap"]["dcs"]
        dcs["synchronous_mode"] = self._synchronous
        dcs["postgresql"]["parameters"] |= PARAMETERS
        configuration["postgresql"]["parameters"] = {"unix_socket_directories": str(self._directory)}
        (self._directory / "patroni.yml").write_text(yaml.safe_dump(configuration))

    def _write_haproxy_cfg(self) -> None:
        """Write the one of `deploy/ha` with our addresses."""
        text = (CONFIGURATION / "haproxy.cfg").read_text().replace("127.0.0.1:5000", f"{HOST}:{self._port}")
        for node in self.nodes:
            ours = f"server {node.name} {HOST}:{node.port} check port {node.patroni_port}"
            text, replaced = re.subn(rf"server {node.name} \S+ check port \d+", ours, text)
            assert replaced == 1
        (self._directory / "haproxy.cfg").write_text(text)

    def start_etcd(self) -> None:
        client, peer = (f"http://{HOST}:{port}" for port in self._etcd_ports)
        settings = _settings_of_node("ETCD_") | {
            "ETCD_LISTEN_CLIENT_URLS": client,
            "ETCD_ADVERTISE_CLIENT_URLS": client,
            "ETCD_LISTEN_PEER_URLS": peer,
            "ETCD_INITIAL_ADVERTISE_PEER_URLS": peer,
            "ETCD_INITIAL_CLUSTER": f"one={peer}",
            "ETCD_DATA_DIR": str(self._directory / "etcd"),
        }
        self._etcd = Program("etcd", log=self._directory / "etcd.log", **settings)

    def lose_etcd(self) -> None:
        assert self._etcd
        self._etcd.kill()

    def url(self, user: str = "postgres", password: str = PASSWORD) -> str:
        """By way of HAProxy."""
        return f"postgresql://{user}:{password}@{HOST}:{self._port}/postgres"

    def url_of_all(self, user: str, password: str) -> str:
        """The URL that names all nodes."""
        hosts = ",".join(f"{HOST}:{node.port}" for node in self.nodes)
        return f"postgresql://{user}:{password}@{hosts}/postgres"

    @contextlib.contextmanager
    def admin(self) -> Iterator[Connection]:
        with contextlib.closing(psycopg2.connect(self.primary.url)) as connection:
            connection.autocommit = True
            yield connection

    @property
    def primary(self) -> Node:
        """The node that can be written to; wait until there is one."""
        found = eventually(self._writable, "a node can be written to", STARTS_WITHIN_SECONDS)
        assert found
        return found

    def _writable(self) -> Node | None:
        return next((node for node in self.nodes if node.can_be_written_to()), None)

    def wait_until_whole(self) -> None:
        """Wait until both other nodes stream from the primary, one of them synchronously if that is the mode."""
        deadline = time.monotonic() + STARTS_WITHIN_SECONDS
        while not self._is_whole():
            if time.monotonic() > deadline:
                logs = (self._directory / f"{name}.log" for name in NAMES)
                pytest.fail("\n".join(["the cluster is not whole", *(log.read_text()[-3000:] for log in logs)]))
            time.sleep(0.1)

    def _is_whole(self) -> bool:
        with contextlib.suppress(psycopg2.Error), self.admin() as admin:
            streaming = value(admin, "SELECT count(*) FROM pg_stat_replication WHERE state = 'streaming'")
            members = (self.primary.ask("/cluster") or {}).get("members", [])
            roles = Counter(member["role"] for member in members)
            running = all(member["state"] in ("running", "streaming") for member in members)
            return streaming == 2 and running and roles.total() == 3 and roles["sync_standby"] == self._synchronous
        return False

    def switch_over(self) -> None:
        """Have Patroni change the primary, and return when it has."""
        primary = self.primary
        answer = primary.ask("/switchover", leader=primary.name)
        assert answer, f"the switchover was refused; logs in {self._directory}"

    def stop(self) -> None:
        """End whatever has been started."""
        for program in (self._haproxy, *self.nodes, self._etcd):
            if program:
                program.kill()


@contextlib.contextmanager
def cluster(*, synchronous: bool) -> Iterator[Cluster]:
    """Yield a cluster, and end it; its directory is where a user that is not root may work."""
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(prefix="seisiun-ha-", dir=memory if memory.is_dir() else None) as name:
        if user := _nobody():
            os.chown(name, user["user"], user["group"])
        made = Cluster(Path(name), synchronous=synchronous)
        try:
            made.start()
            yield made
        finally:
            made.stop()


def _nobody() -> dict[str, Any]:
    """Return the arguments by which a process is not root: PostgreSQL refuses to run as root."""
    if os.geteuid() != 0:
        return {}
    nobody = pwd.getpwnam("nobody")
    return {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}


def _settings_of_node(prefix: str = "PATRONI_") -> dict[str, str]:
    """Return what `deploy/ha/node.env` says, with passwords."""
    lines = [line for line in (CONFIGURATION / "node.env").read_text().splitlines() if line.startswith(prefix)]
    stated = dict(line.split("=", 1) for line in lines)
    return {name: PASSWORD if name.endswith("_PASSWORD") else text for name, text in stated.items()}


def _binaries() -> Path:
    """Return PostgreSQL's programs: the machine's own before the wheel's, which another user may be unable to read."""
    return max(every_version().items(), key=lambda found: (found[1].is_relative_to("/usr"), found[0]))[1]


def _free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as opened:
        doors = [opened.enter_context(socket.create_server((HOST, 0))) for _ in range(count)]
        return [int(door.getsockname()[1]) for door in doors]
