"""The shapes of what the API answers, one noun a file."""
