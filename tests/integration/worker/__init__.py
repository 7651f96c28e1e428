"""The life of ``umbel worker``'s processes, on a real store, with real signals."""
