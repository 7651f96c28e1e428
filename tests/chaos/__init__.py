"""Workers and stores killed, networks cut, at random while jobs run: nothing lost, nothing doubled without cause.

``make chaos`` runs the long campaigns (``python -m tests.chaos``, or some: ``python -m tests.chaos redis``); the suite
runs short ones.
"""
