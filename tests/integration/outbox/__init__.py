"""Transactional dispatch: real databases, real brokers, processes that die."""
