"""What is kept, in LMDB: one module a table, the store over them, recovery after damage."""
