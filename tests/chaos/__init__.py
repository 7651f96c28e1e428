"""Workers killed at random while they run a hundred thousand jobs: nothing lost, nothing doubled without cause.

``make chaos`` runs the long campaign (``python -m tests.chaos``); the suite runs a short one.
"""
