"""C5, C45: one table of assertions on Celery's semantics, for plain Celery over Redis and Umbel's engine alike."""
