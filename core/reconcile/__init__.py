"""The one loop: find what is due, lock, read, decide, write.

batches   many sessions: a chunk in a transaction, chunks in parallel, the culprits isolated
chunk     one pass over a chunk of sessions
presence  moves people, in a pass
result    what a pass is told, and what it returns
log       what the daemon and the sweep log of a pass
warm_up   every statement of a flip, run once without effect

What is decided is in `core.rules`, the statements are in `core.store`. When to reconcile is for the callers to know.
"""
