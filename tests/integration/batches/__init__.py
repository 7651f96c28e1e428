"""Batches and checkpoints: in workers, and under kills."""
