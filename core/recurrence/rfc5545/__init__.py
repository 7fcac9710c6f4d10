"""The RFC 5545 form of a recurrence. A first reading of the product can skip it.

text       the lines of a text, read
rrule      the value of an RRULE line, read
values     dates, times and durations, read
expansion  the occurrences that all of it yields
"""
