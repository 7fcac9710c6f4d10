"""The daemon, and the commands of its operator."""
