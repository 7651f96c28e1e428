"""What Umbel shows over HTTP: the jobs' router, event streams, a worker beside the web process, the status page.

Nothing here is imported by ``import umbel``; it stands on FastAPI and Jinja2 (``pip install 'umbel[web]'``).
"""
