"""Shared pieces of step functions: each reads and updates its own slots of the state row."""
