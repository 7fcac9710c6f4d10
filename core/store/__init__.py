"""Every SQL statement of the product. Rows and cursors never leave it; decisions are in `core.rules`.

arrays                  many values as one parameter
activation_windows      the stored windows: the schedule itself
flips                   the active bits, read, locked and written
heartbeats              the daemons that are alive
notify                  the two notification channels
sessions                sessions and instances that come in from outside
queue.due               which sessions are due, and why
queue.requests          requests, and the plan row per session that a pass locks
queue.retries           when a session whose pass failed is tried again
planning.snapshots      what the planner needs to know
planning.plans          what the planner decided, written
planning.instances      the instances that a plan makes, retimes, binds and deletes
presence.check_ins      what people say of instances
presence.locations      where people are
presence.yeses          the yeses that count at an instant
views.places            what is on, for an app's pages
views.pages             what our own pages read and write
views.schedule          the edges to come
views.reports           what an operator reads
"""
