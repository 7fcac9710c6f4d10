"""Every SQL statement of the product, one module per stage; rows and cursors never leave it.

looks       what there is to look at, the locks of a look, its settings
plans       snapshots for the planner, and what it decided, written
activation  windows and bits for the reconciler, and its flips, written
heartbeats  the daemons that live
reports     what an operator reads
"""
