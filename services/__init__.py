"""Real applications built with Umbel: each folder is one, useful as it stands, and a model of how Umbel is used."""
