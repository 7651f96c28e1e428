"""What somebody should know without looking: rules, incidents, and the channels by which they are told (C38)."""
