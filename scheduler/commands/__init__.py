"""What `python -m scheduler` can do beside running the daemon. `scheduler.cli` has the command line itself."""
