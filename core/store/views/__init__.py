"""Queries for pages, for the daemon's timers and for the operator. No pass decides by them."""
