"""Check-ins, and where people are. The rule which yes decides is in `core.rules.presence`."""
