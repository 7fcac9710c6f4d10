"""The bounds of the people pages; the README's table names those that a host may change."""

MOST_STREAMS = 200
"""The most open streams in one process; further pages ask every few seconds instead."""

MOST_STREAMS_OF_ADDRESS = 40
"""The most open streams of one client address: one client must not take the places of all others."""

MOST_BYTES = 64 * 1024
"""The largest body of a request."""

POLL_SECONDS = 15
"""How long a page that was refused a stream waits before it asks again."""

SEND_SECONDS = 10
"""How long a stream waits for a client that does not read."""

RESPONSE_TIMEOUT_SECONDS = 15.0
"""How long a database connection waits for an answer before we take it for lost: a network may fall silent."""
