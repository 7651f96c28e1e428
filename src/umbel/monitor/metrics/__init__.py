"""Numbers for other programs: what Prometheus scrapes, and what an autoscaler asks."""
