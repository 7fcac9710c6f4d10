"""What is only read: by pages, by the daemon's timers, by the operator. No pass decides by these."""
