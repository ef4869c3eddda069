"""Threads, signals, log, systemd, battery, pressure. It knows no photo."""
