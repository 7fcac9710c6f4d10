"""`python -m scheduler`."""

from core import streams
from scheduler.cli import main

streams.prepare()
main()
