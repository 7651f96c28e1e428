"""For whoever operates: the history of all jobs, and what is read from it."""
