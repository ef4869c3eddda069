"""The command `pixkin`: arguments, output, and a module a command."""
