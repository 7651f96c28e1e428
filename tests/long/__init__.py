"""What takes its time: a job that outlives every lease, and a crowd that waits for tomorrow."""
