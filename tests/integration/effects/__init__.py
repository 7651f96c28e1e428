"""Effects that happen once per key: real stores, real databases, processes that die."""
