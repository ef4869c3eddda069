"""Answers requests on the ZeroMQ socket: one handler a command."""
