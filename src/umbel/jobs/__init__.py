"""What a job may declare and do, one promise a file."""
