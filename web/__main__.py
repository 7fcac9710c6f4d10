"""`python -m web`: the demonstration app, on the loopback."""

import logging
import os
import signal
import socket
import sys
import threading
from types import FrameType

import click
from werkzeug.serving import make_server

from core import logs, streams
from core.errors import SeisiunError
from core.settings import load_settings
from web import create_app, drain

HOST = "127.0.0.1"
PORT = 8080
ENDING_SIGNALS = (signal.SIGTERM, signal.SIGINT)


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--port", default=PORT, show_default=True, type=click.IntRange(0, 65535), help="0 means any free port.")
@click.option("--with-parent", is_flag=True, help="End when standard input is closed.")
def main(*, port: int, with_parent: bool) -> None:
    """Serve the people pages for development: every visitor chooses who they are.

    If the port is taken, another one is used. The address is printed.
    """
    logs.configure(load_settings())
    logging.getLogger("werkzeug").setLevel(logging.ERROR)  # a line for each request would drown the flips
    try:
        app = create_app()
    except SeisiunError as error:
        raise click.ClickException(str(error)) from error
    server = make_server(HOST, port if _is_free(port) else 0, app, threaded=True)
    server.daemon_threads = True  # type: ignore[attr-defined] # of socketserver.ThreadingMixIn
    for number in ENDING_SIGNALS:
        signal.signal(number, _end)
    if with_parent:
        threading.Thread(target=_end_with_parent, daemon=True).start()
    click.echo(f"http://{HOST}:{server.server_port}/")
    sys.stdout.flush()
    try:
        server.serve_forever()
    except SystemExit:
        drain()


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True


def _end(_number: int, _frame: FrameType | None) -> None:
    # We are often told twice: a terminal's Ctrl-C reaches us and our parent, which then ends us too. A second exception
    # would interrupt Python's exit.
    for number in ENDING_SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    raise SystemExit(0)


def _end_with_parent() -> None:
    # Not `sys.stdin.read`: Python aborts if a thread still holds that stream's lock at the exit.
    while os.read(sys.stdin.fileno(), 4096):
        pass
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    streams.prepare()
    main()
