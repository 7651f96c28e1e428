"""Campaigns: make one, add recipients and attachments, start, pause, resume, cancel, and watch it go."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import asdict
from typing import Annotated

from fastapi import APIRouter, Depends, File, HTTPException, Query, UploadFile
from fastapi.sse import EventSourceResponse, ServerSentEvent
from pydantic import AwareDatetime, BaseModel, Field
from sqlalchemy import select
from starlette.concurrency import run_in_threadpool

from services.email_campaigns import campaigns
from services.email_campaigns.access import administrator
from services.email_campaigns.database import reading, writing
from services.email_campaigns.models import Attachment, Campaign, CampaignState, MailState
from services.email_campaigns.recipients import Encoding, Imported, import_recipients
from services.email_campaigns.rendering import variables
from services.email_campaigns.settings import settings
from services.email_campaigns.storage import delete_file, save_file
from services.email_campaigns.tasks import NOT_QUEUED, dispatch_start

__all__ = ("router",)

router = APIRouter(prefix="/campaigns", tags=["campaigns"], dependencies=[Depends(administrator)])

_STILL = (CampaignState.CANCELLED, CampaignState.FINISHED)

Template = Annotated[str, Field(max_length=200_000, description="A Jinja2 template; the CSV's columns are its names")]


class NewCampaign(BaseModel):
    """A campaign's texts. ``html`` may be empty."""

    name: str = Field(min_length=1, max_length=200)
    subject: Annotated[str, Field(min_length=1, max_length=500)]
    text: Template
    html: Template = ""


class CampaignView(BaseModel):
    """A campaign and how far it is."""

    id: int
    name: str
    state: CampaignState
    start_at: float | None
    started: float | None
    ended: float | None
    recipients: dict[MailState, int]


class AttachmentView(BaseModel):
    """A stored attachment."""

    id: int
    filename: str
    size: int


class Start(BaseModel):
    """When to start; now when ``at`` is missing."""

    at: AwareDatetime | None = None


@router.post("", status_code=201)
def create(body: NewCampaign) -> CampaignView:
    """Make a campaign; a template that cannot be parsed is refused."""
    variables(body.subject, body.text, body.html)
    with writing() as session:
        campaign = Campaign(**body.model_dump())
        session.add(campaign)
    return _view(campaign)


@router.get("")
def list_all(after: int = 0, limit: Annotated[int, Query(ge=1, le=100)] = 50) -> list[CampaignView]:
    """Return campaigns with an id above ``after``."""
    with reading() as session:
        found = session.scalars(select(Campaign).where(Campaign.id > after).order_by(Campaign.id).limit(limit)).all()
    return [_view(campaign) for campaign in found]


@router.get("/{campaign_id}")
def show(campaign_id: int) -> CampaignView:
    """Return a campaign and how far it is."""
    with reading() as session:
        return _view(campaigns.get(session, campaign_id))


@router.post("/{campaign_id}/recipients")
def add_recipients(
    campaign_id: int, file: Annotated[UploadFile, File(description="CSV with a header")], encoding: Encoding = "utf-8"
) -> Imported:
    """Add recipients from a CSV file: good rows are kept, bad ones reported by line, known addresses skipped."""
    with reading() as session:
        campaign = campaigns.get(session, campaign_id, *campaigns.OPEN)
    needed = variables(campaign.subject, campaign.text, campaign.html)
    return import_recipients(campaign_id, file.file, needed - {"email"}, encoding)


@router.post("/{campaign_id}/attachments", status_code=201)
def add_attachment(campaign_id: int, file: UploadFile) -> AttachmentView:
    """Add a file that goes with each mail."""
    key, size = save_file(file.file)
    try:
        with writing() as session:
            campaign = campaigns.get(session, campaign_id, CampaignState.DRAFT, CampaignState.SCHEDULED)
            if size + sum(each.size for each in campaign.attachments) > settings().max_attachments:
                raise HTTPException(413, f"Attachments may have {settings().max_attachments:,} bytes together.")
            attachment = Attachment(
                campaign_id=campaign_id, filename=_file_name(file), content_type=_type(file), size=size, key=key
            )
            session.add(attachment)
    except BaseException:
        delete_file(key)
        raise
    return AttachmentView(id=attachment.id, filename=attachment.filename, size=size)


@router.post("/{campaign_id}/start", status_code=202)
def start(campaign_id: int, body: Start | None = None) -> CampaignView:
    """Start a campaign, now or at a time; asking again moves the time."""
    at = body.at if body else None
    delay = campaigns.schedule(campaign_id, at.timestamp() if at else None)
    _dispatch_start(campaign_id, delay)
    return show(campaign_id)


@router.post("/{campaign_id}/pause", status_code=202)
def pause(campaign_id: int) -> CampaignView:
    """Send no more until it is resumed."""
    campaigns.pause(campaign_id)
    return show(campaign_id)


@router.post("/{campaign_id}/resume", status_code=202)
def resume(campaign_id: int) -> CampaignView:
    """Go on with a paused campaign."""
    campaigns.resume(campaign_id)
    _dispatch_start(campaign_id, 0.0)
    return show(campaign_id)


@router.post("/{campaign_id}/cancel", status_code=202)
def cancel(campaign_id: int) -> CampaignView:
    """Send no more, for ever."""
    campaigns.cancel(campaign_id)
    return show(campaign_id)


@router.get("/{campaign_id}/progress")
def progress(campaign_id: int) -> campaigns.Progress:
    """Return how many recipients are in which state."""
    return campaigns.progress_of(campaign_id)


@router.get("/{campaign_id}/events", response_class=EventSourceResponse, dependencies=[Depends(progress)])
async def events(campaign_id: int) -> AsyncIterator[ServerSentEvent]:
    """Stream the progress whenever it has changed, until the campaign has ended."""
    last = None
    while last is None or last.state not in _STILL:
        current = await run_in_threadpool(campaigns.progress_of, campaign_id)
        if current != last:
            done = current.total - current.pending - current.sending
            yield ServerSentEvent(event="progress", id=f"{current.state}-{done}", data=asdict(current))
        last = current
        await asyncio.sleep(0.25)


def _dispatch_start(campaign_id: int, delay: float) -> None:
    try:
        dispatch_start(campaign_id, delay)
    except NOT_QUEUED as error:
        raise HTTPException(503, f"The campaign is saved and starts when the queue is back. {error}") from None


def _view(campaign: Campaign) -> CampaignView:
    counts = campaigns.progress_of(campaign.id)
    return CampaignView(
        id=campaign.id,
        name=campaign.name,
        state=campaign.state,
        start_at=campaign.start_at,
        started=campaign.started,
        ended=campaign.ended,
        recipients={state: getattr(counts, state) for state in MailState},
    )


def _file_name(file: UploadFile) -> str:
    name = (file.filename or "").replace("\\", "/").rpartition("/")[2]
    return "".join(letter for letter in name if letter.isprintable())[-200:] or "attachment"


def _type(file: UploadFile) -> str:
    main, _, sub = (file.content_type or "").partition(";")[0].strip().lower().partition("/")
    plain = main.isalnum() and sub.replace("-", "").replace(".", "").replace("+", "").isalnum()
    # Such parts have a structure of their own, which a file as it came need not have.
    return f"{main}/{sub}" if plain and main not in ("message", "multipart") else "application/octet-stream"
