"""The verbs of the command `pixkin`, one module each.

`LINE` and `TEXT` are the verb's help, `add` adds its options, and `run` asks the daemon and prints the answer.
"""
