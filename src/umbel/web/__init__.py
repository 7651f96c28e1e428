"""What Umbel shows over HTTP: the dashboard with its API, the jobs' router, event streams, a worker beside the web
process.

Nothing here is imported by ``import umbel``; it stands on FastAPI and Jinja2 (``pip install 'umbel[web]'``).
"""

from __future__ import annotations

from umbel.monitor.actors import Role
from umbel.web.signin.user import WebUser

__all__ = ("Role", "WebUser")
