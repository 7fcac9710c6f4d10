"""Seisiún: keeps true which instances of music sessions are on right now, and who is at them."""

__version__ = "0.2.0"
