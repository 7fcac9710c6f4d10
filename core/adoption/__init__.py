"""Looks at an app's tables before we change them, and says what one should know; it only reads.

check      what stands, what would be added, what is in the way
findings   one thing that one should know, with the rows that it is about
catalogue  what the server's catalogue says: columns, triggers, roles, locks
evenings   what the app's rows say: which sessions get rows, which recurrences cannot be read, who will be where

The app's tables may still lack our columns. So the statements here name only columns that are there, and the mapped
classes of `core.models` do not serve.
"""
