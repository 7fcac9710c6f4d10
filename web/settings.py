"""The bounds of the people pages; the README's table names those that a host may change."""

MOST_STREAMS = 200
"""Open streams in one process; a page beyond them asks every few seconds instead."""

MOST_BYTES = 64 * 1024
"""Of a request's body."""

POLL_SECONDS = 15
"""How long a page that was refused a stream waits before it asks again."""

SEND_SECONDS = 10
"""How long a stream waits for a client that does not read."""
RESPONSE_TIMEOUT_SECONDS = (
    15.0  # a connection of ours that has waited for longer is taken to be lost: a network may fall silent
)
