"""What the planner reads, and what it decided, written: instances, their bindings, their windows."""
