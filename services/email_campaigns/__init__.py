"""The Email Campaign Service: registration, password reset, and campaigns that never mail anyone twice.

    uvicorn services.email_campaigns:app
    umbel worker -A services.email_campaigns:jobs

Read it in this order: ``settings``, ``models``, ``tasks``, ``sending``, ``web``.
"""

from services.email_campaigns.tasks import jobs
from services.email_campaigns.web import app

__all__ = ("app", "jobs")
