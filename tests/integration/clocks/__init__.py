"""Clocks that jump while jobs run and wait."""
