"""The command `pixkin`: its arguments, its output, and one module for each verb."""
