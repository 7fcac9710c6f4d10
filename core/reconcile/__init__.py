"""The one loop: find what is due, lock, read, decide, write.

batches   reconciles many sessions: one transaction per chunk, chunks in parallel, sessions that fail isolated
chunk     one pass: reconciles one chunk of sessions
ahead     prepares the flips of an edge before it comes, so that only the COMMIT is left
presence  moves people, in a pass
result    the options of a pass, and its result
log       logs what a pass changed, for the daemon and the sweep
warm_up   runs the statements of a flip and of a plan once, without effect

`core.rules` decides, and `core.store` holds the statements. The callers know when to reconcile.
"""
