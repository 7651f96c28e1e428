"""Hosts with networks of their own."""
