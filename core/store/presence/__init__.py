"""Check-ins, and where people are. Which yes decides is a rule: `core.rules.presence`."""
