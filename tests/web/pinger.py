"""Asks an address again and again until standard input ends, then prints how long each answer took, in ms.

A process of its own, so that what the tests do meanwhile does not count; and it prints by how much the machine was
late to wake it each time, which no answer can be better than.
"""

import http.client
import json
import sys
import threading
import time

PAUSE_SECONDS = 0.02


def main(port: int, path: str) -> None:
    ended = threading.Event()

    def wait() -> None:
        sys.stdin.read()
        ended.set()

    threading.Thread(target=wait, daemon=True).start()
    took, overslept = [], []
    while not ended.is_set():
        lay_down = time.perf_counter()
        time.sleep(PAUSE_SECONDS)
        begun = time.perf_counter()
        overslept.append((begun - lay_down - PAUSE_SECONDS) * 1000)
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
        connection.request("GET", path)
        answer = connection.getresponse()
        answer.read()
        connection.close()
        took.append((time.perf_counter() - begun) * 1000)
        assert answer.status == 200, answer.status
    sys.stdout.write(json.dumps([took, overslept]))


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2])
