"""Registration and passwords. A reset token exists in the mail only; the database has its hash, the job nothing."""

import hashlib
import hmac
import secrets

from sqlalchemy import delete, select

from services.email_campaigns.database import now, writing
from services.email_campaigns.models import Mail, MailKind, MailState, PasswordReset, User
from services.email_campaigns.settings import settings

__all__ = ("AddressTaken", "BadToken", "new_reset_link", "password_fits", "register", "request_reset", "set_password")


class AddressTaken(Exception):
    """Somebody has registered with this address before."""


class BadToken(Exception):
    """The token was never given out, is too old, or has been used."""


def register(address: str, name: str, password: str) -> Mail:
    """Create the user and return their welcome mail, to be dispatched. Raises :class:`AddressTaken`."""
    hashed = _hash_password(password)
    with writing() as session:
        if session.scalar(select(User.id).where(User.address == address)) is not None:
            raise AddressTaken
        user = User(address=address, name=name, password=hashed)
        session.add(user)
        session.flush()
        mail = Mail(kind=MailKind.WELCOME, address=address, user_id=user.id, fields={"name": name})
        session.add(mail)
        return mail


def request_reset(address: str) -> Mail | None:
    """Return a mail with a reset link, to be dispatched; ``None`` for an unknown user, or while one is on its way."""
    with writing() as session:
        user = session.scalar(select(User).where(User.address == address).with_for_update())
        if user is None:
            return None
        on_its_way = select(Mail.id).where(
            Mail.user_id == user.id,
            Mail.kind == MailKind.PASSWORD_RESET,
            Mail.state.in_((MailState.PENDING, MailState.SENDING)),
        )
        if session.scalar(on_its_way.limit(1)) is not None:
            return None
        mail = Mail(kind=MailKind.PASSWORD_RESET, address=address, user_id=user.id, fields={"name": user.name})
        session.add(mail)
        return mail


def new_reset_link(user_id: int) -> str:
    """Make a token for the user, in place of any older one, and return the link that carries it."""
    token = secrets.token_urlsafe(32)
    with writing() as session:
        expires = now(session) + settings().reset_valid
        session.merge(PasswordReset(user_id=user_id, token_hash=_hash_token(token), expires=expires))
    return f"{settings().public_url}/password-reset#token={token}"  # no log of a server holds what follows a #


def set_password(token: str, password: str) -> None:
    """Set the password of the token's user and spend the token. Raises :class:`BadToken`."""
    hashed = _hash_password(password)
    with writing() as session:
        used = delete(PasswordReset).where(
            PasswordReset.token_hash == _hash_token(token), PasswordReset.expires > now(session)
        )
        user_id = session.scalar(used.returning(PasswordReset.user_id))
        if user_id is None:
            raise BadToken
        session.get_one(User, user_id).password = hashed


def password_fits(user: User, password: str) -> bool:
    """Return whether this is the user's password."""
    _, salt, expected = user.password.split("$")
    return hmac.compare_digest(expected, _scrypt(password, bytes.fromhex(salt)))


def _hash_password(password: str) -> str:
    salt = secrets.token_bytes(16)
    return f"scrypt${salt.hex()}${_scrypt(password, salt)}"


def _scrypt(password: str, salt: bytes) -> str:
    return hashlib.scrypt(password.encode(), salt=salt, n=2**14, r=8, p=1).hex()


def _hash_token(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
