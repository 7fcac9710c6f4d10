"""The RFC 5545 form of a recurrence. A first reading of the product can skip it.

text       reads the lines of a text
rrule      reads the value of an RRULE line
values     reads dates, times and durations
expansion  computes the occurrences that the lines yield
"""
