"""The cron scripts."""
