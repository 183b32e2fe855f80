"""The command line: `app` runs it, `commands` has the commands, `options` the flags, `terminal` what is said.

`inputs` makes the problems of INPUT and flags, `delivery` sends a report where it is to go.
"""
