"""Every SQL statement of the product, one module per stage; rows and cursors never leave it.

candidates  what there is to look at
looks       the settings of a look, its locks, the requests that were read
snapshots   what the planner needs to know
plans       what it decided, written
activation  windows and bits for the reconciler, and its flips, written
heartbeats  the daemons that live
schedule    the edges that lie ahead
reports     what an operator reads
pages       what the people pages read and write
"""
