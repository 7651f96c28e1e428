"""Registration and password reset, open to everybody."""

from typing import Annotated

from fastapi import APIRouter, HTTPException
from fastapi.responses import HTMLResponse
from pydantic import BaseModel, Field, SecretStr

from services.email_campaigns import accounts
from services.email_campaigns.addresses import Address
from services.email_campaigns.rendering import standard_template
from services.email_campaigns.tasks import dispatch

__all__ = ("router",)

router = APIRouter(tags=["accounts"])

Password = Annotated[SecretStr, Field(min_length=8, max_length=200)]


class Registration(BaseModel):
    """Somebody new."""

    email: Address
    name: str = Field(min_length=1, max_length=100)
    password: Password


class Registered(BaseModel):
    """The new user; a welcome mail is on its way."""

    user_id: int
    email: str


class ResetRequest(BaseModel):
    """Whose password was forgotten."""

    email: Address


class NewPassword(BaseModel):
    """The token from the mail, and the password to set."""

    token: str = Field(max_length=100)
    password: Password


@router.post("/register", status_code=201)
def register(body: Registration) -> Registered:
    """Register a user and send a welcome mail."""
    try:
        mail = accounts.register(body.email, body.name, body.password.get_secret_value())
    except accounts.AddressTaken:
        raise HTTPException(409, "This address is registered already.") from None
    dispatch([mail])
    return Registered(user_id=mail.user_id or 0, email=mail.address)


@router.post("/password-reset", status_code=202)
def request_reset(body: ResetRequest) -> None:
    """Mail a reset link. The answer is the same for an unknown address, so it tells nobody who is registered."""
    mail = accounts.request_reset(body.email)
    if mail is not None:
        dispatch([mail])


@router.get("/password-reset", response_class=HTMLResponse)
def reset_page() -> str:
    """Show the page that the link in the mail leads to."""
    return standard_template("reset_page.html")


@router.post("/password-reset/confirm", status_code=204)
def confirm_reset(body: NewPassword) -> None:
    """Set a new password with the token from the mail, which works once."""
    try:
        accounts.set_password(body.token, body.password.get_secret_value())
    except accounts.BadToken:
        raise HTTPException(400, "This link has been used or is too old: ask for a new one.") from None
