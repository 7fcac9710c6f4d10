"""Reads what the planner needs, and writes what it decided: instances, their bindings and their windows."""
