"""What runs inside a subject's own interpreter: the standard library and that subject's library, nothing else."""

__all__: list[str] = []
