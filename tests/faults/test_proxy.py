"""The network of the bench: it carries, it falls silent as a network does, and it forgets as a router does."""

import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest

from tests.faults.proxy import CAN_LOSE_PACKETS, HOST, Proxy
from tests.scheduler.daemon_process import eventually

loses_packets = pytest.mark.skipif(not CAN_LOSE_PACKETS, reason="this system has no socket filters to lose packets by")


@pytest.fixture
def proxy() -> Iterator[Proxy]:
    proxy = Proxy()
    yield proxy
    proxy.close()


@contextmanager
def server(proxy: Proxy) -> Iterator[socket.socket]:
    with socket.create_server((HOST, 0)) as door:
        proxy.lead_to(f"postgresql://{HOST}:{door.getsockname()[1]}/x")
        yield door


@contextmanager
def through(proxy: Proxy, door: socket.socket) -> Iterator[tuple[socket.socket, socket.socket]]:
    """Yield both ends of a connection that the proxy carries."""
    with ExitStack() as opened:
        client = opened.enter_context(socket.create_connection((HOST, proxy.port), timeout=5))
        end = opened.enter_context(door.accept()[0])
        end.settimeout(5)
        eventually(lambda: proxy.carries(end.getpeername()[1]), "the proxy carries it")
        yield client, end


def test_it_carries_both_ways_and_knows_its_clients(proxy: Proxy) -> None:
    with server(proxy) as door, through(proxy, door) as (client, end):
        client.sendall(b"ask")
        assert end.recv(10) == b"ask"
        end.sendall(b"answer")
        assert client.recv(10) == b"answer"
        assert proxy.carries(end.getpeername()[1])
        assert not proxy.carries(1)


def test_it_follows_a_server_to_another_port(proxy: Proxy) -> None:
    with server(proxy):
        pass
    with server(proxy) as door, through(proxy, door) as (client, end):
        client.sendall(b"ask")
        assert end.recv(10) == b"ask"


@loses_packets
def test_in_silence_nothing_arrives_or_is_acknowledged_and_nobody_gets_in(proxy: Proxy) -> None:
    with server(proxy) as door, through(proxy, door) as (client, end):
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 500)
        proxy.fall_silent()
        client.sendall(b"lost")

        with pytest.raises(TimeoutError):
            socket.create_connection((HOST, proxy.port), timeout=0.2)
        with pytest.raises(OSError, match="timed out"):
            client.recv(1)  # the kernel has had no acknowledgement
        end.settimeout(0.1)
        with pytest.raises(TimeoutError):
            end.recv(10)


def test_a_middleman_that_hangs_acknowledges_and_passes_nothing_on(proxy: Proxy) -> None:
    with server(proxy) as door, through(proxy, door) as (client, end):
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 500)
        proxy.fall_silent(acknowledging=True)
        client.sendall(b"late")
        client.settimeout(1)

        with pytest.raises(TimeoutError, match=r"^timed out$"):  # ours, and not the kernel's
            client.recv(1)
        proxy.speak(forget=False)
        assert end.recv(10) == b"late"


@loses_packets
def test_after_a_silence_what_was_sent_arrives(proxy: Proxy) -> None:
    with server(proxy) as door, through(proxy, door) as (client, end):
        proxy.fall_silent()
        client.sendall(b"late")
        proxy.speak(forget=False)

        assert end.recv(10) == b"late"


@loses_packets
def test_a_forgotten_connection_receives_no_more_and_others_get_in(proxy: Proxy) -> None:
    with server(proxy) as door, through(proxy, door) as (forgotten, end):
        proxy.fall_silent()
        proxy.speak(forget=True)
        forgotten.sendall(b"lost")
        end.settimeout(0.5)

        with pytest.raises(TimeoutError):
            end.recv(10)
        with through(proxy, door) as (client, other):
            client.sendall(b"ask")
            assert other.recv(10) == b"ask"
