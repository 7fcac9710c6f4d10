"""Every SQL statement about sessions, instances and people. Rows and cursors stay inside; `core.rules` decides.

arrays                  many values as one parameter
activation_windows      the stored windows: the schedule itself
flips                   reads, locks and writes the active bits
hold                    waits for an instant before a commit
heartbeats              the row of each running daemon
notify                  the two notification channels
sessions                inserts and updates sessions and instances that a file or a form states
queue.due               which sessions are due, and why
queue.requests          requests, and the plan row per session that a pass locks
queue.retries           when the next pass tries a failed session again
planning.snapshots      reads what the planner needs to know
planning.plans          writes what the planner decided
planning.instances      makes, retimes, binds and deletes a plan's instances
presence.check_ins      what people say about instances: yes, maybe or no
presence.locations      at which instance each person is
presence.yeses          the yeses that count at an instant
views.places            what is on, for an app's pages
views.pages             what our own pages read and write
views.schedule          the edges that lie ahead
views.reports           what an operator reads
"""
