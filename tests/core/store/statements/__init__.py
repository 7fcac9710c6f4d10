"""Every statement of the store as SQL: the golden files, the calls that they show, and how they are written.

calls     one call of each function, with arguments that are known by name
golden    the statements that these calls execute, as text, and as the .sql files beside this one
layout    how a statement is broken into lines
__main__  writes the files (`make sql`)
"""
