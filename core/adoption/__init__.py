"""Takes an app's database over: looks before we change it, and keeps an older form of the feature equal to ours.

check      what stands, what would be added, what is in the way; it only reads
removal    everything of ours is taken away again; what people wrote stays
takeover   the app's older columns are kept equal to ours, until the app reads ours
findings   one thing that one should know, with the rows that it is about
catalogue  what the server's catalogue says: columns, triggers, roles, locks
evenings   what the app's rows say: which sessions get rows, which recurrences cannot be read, who will be where

The app's tables may still lack our columns. So the statements here name only columns that are there, and the mapped
classes of `core.models` do not serve.
"""
