"""The FastAPI application. Errors of the service become answers here, in one place."""

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse

from services.email_campaigns import api_accounts, api_campaigns, api_letters
from services.email_campaigns.access import administrator
from services.email_campaigns.campaigns import NotPossible
from services.email_campaigns.recipients import BadFile
from services.email_campaigns.rendering import RenderingFailed
from services.email_campaigns.settings import settings
from services.email_campaigns.tasks import jobs

__all__ = ("app",)

app = FastAPI(title="Email Campaign Service", max_body_size=settings().max_upload)
app.include_router(api_accounts.router)
app.include_router(api_campaigns.router)
app.include_router(api_letters.router)
app.include_router(jobs.router(guard=administrator))

_STATUS = {LookupError: 404, NotPossible: 409, BadFile: 422, RenderingFailed: 422}


async def _explain(_request: Request, error: Exception) -> JSONResponse:
    status = next(code for kind, code in _STATUS.items() if isinstance(error, kind))
    return JSONResponse({"detail": str(error)}, status_code=status)


for _kind in _STATUS:
    app.add_exception_handler(_kind, _explain)
