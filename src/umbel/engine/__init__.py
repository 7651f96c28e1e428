"""How a message moves: stores, the Kombu channel over them, results, pool and supervisor."""
