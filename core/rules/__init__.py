"""The rules, as pure functions: values in, a decision out. No file here imports a database, a clock, a log or a thread.

planner      which instances a session should have, and in which windows each should be active (P)
binding      which instance stands for which occurrence (P2 to P4)
overlaps     which of a session's overlapping instances is on (P7)
flips        which active bits to change (A1), and the causes of flips
presence     where a person is (A2)
explanation  why a session, an instance or a person is as they are: the rules, asked and put into words
simulation   what a change of a session would do: two plans compared

`core.store` loads their inputs and writes their decisions; `core.reconcile` puts these steps in order.
"""
