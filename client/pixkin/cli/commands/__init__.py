"""The verbs of the command `pixkin`, a module each: `LINE` and `TEXT` say what it does, `add` its options, `run` does it."""
