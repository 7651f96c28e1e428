"""What is at rest in a store, signed or encrypted: messages, results, parts of chords (C42, C43).

A protected message carries its headers twice: those that a store and whoever operates it need stand outside, and all of
them are part of what is signed or encrypted. Inside, those count: a body cannot be put under another job's headers,
nor its retries, times, owner or callbacks be changed. What it says outside of its id and its task must be the same.

``encrypt`` leaves outside: the job's id, task, owner, times, retries, group and parents. A message of a task with
sensitive arguments, or that carries a signature of one (a link, a chain, a chord), is always encrypted. It says
who made a message, not when: whoever can write to the store can send an authentic message once more.

Costs: nothing while it is off, but for two look-ups a message; else 10 to 15 microseconds on each side, and a second
copy of the headers, in base64 with the body where it encrypts.
"""

from __future__ import annotations

import json
from base64 import b64decode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Literal

from umbel.engine import envelope
from umbel.engine.batches import BATCH
from umbel.engine.failures import FAILURES
from umbel.engine.fairness import SHARE
from umbel.engine.headers import COUNTED, FIRST, REPLAY
from umbel.engine.keyring import Keyring, framed, unframed
from umbel.errors import ConfigurationError, PayloadRefused

if TYPE_CHECKING:
    from umbel.settings import Settings

__all__ = ("HIDDEN", "SENSITIVE", "Protection", "Secured", "carries", "complete", "refusal_of")

Mode = Literal["off", "sign", "encrypt"]
Secured = Literal["", "sign", "encrypt"]

#: What stands where something is not shown.
HIDDEN: Final = "***"
#: The header that has a message encrypted; it goes no further than to the channel.
SENSITIVE: Final = "umbel_sensitive"

_SEALED: Final = "application/x-umbel-sealed"
_SIGNED: Final = "umbel_signed"
_RESULT: Final = "umbel_sealed"
_RESULT_MARK: Final = f'"{_RESULT}"'
#: What a store, and whoever operates it, have to know of an encrypted message.
_OUTSIDE: Final = (
    "lang",
    "task",
    "id",
    "eta",
    "expires",
    "retries",
    "root_id",
    "parent_id",
    "group",
    "group_index",
    "umbel_owner",
    BATCH,
    "umbel_once",
    "umbel_first",
    SHARE,
    REPLAY,
)
_PROPERTIES: Final = ("reply_to", "correlation_id")


@dataclass(frozen=True, slots=True, eq=False)
class Protection:
    """How an application protects what it writes, and what it takes."""

    mode: Mode = "off"
    keyring: Keyring = field(default_factory=Keyring)
    #: Whether jobs run whose messages should be protected and are not.
    tolerant: bool = False
    #: The tasks whose messages are always encrypted.
    sensitive: set[str] = field(default_factory=set, repr=False)

    @classmethod
    def of(cls, settings: Settings) -> Protection:
        """Return what the settings say. Raises :exc:`ConfigurationError`."""
        secret = settings.payload_keys
        keyring = Keyring.parse(secret.get_secret_value()) if secret is not None else Keyring()
        return cls(settings.payload_protection, keyring, settings.payload_unprotected == "accept")

    def __json__(self) -> str:
        """Return what is told of it with the options of a connection, by ``inspect stats``."""
        return self.mode

    @property
    def is_on(self) -> bool:
        """Whether every message is protected."""
        return self.mode != "off"

    @property
    def encrypts(self) -> bool:
        """Whether everything is encrypted, results included."""
        return self.mode == "encrypt"

    def refuses(self, secured: Secured) -> bool:
        """Whether a message that is protected in this way must not run."""
        return not secured and self.mode != "off" and not self.tolerant

    # -- messages ---------------------------------------------------------------------------------------------

    def apply(self, message: dict[str, Any]) -> dict[str, Any]:
        """Return an envelope on its way out as it is to be stored. Raises :exc:`ConfigurationError` without a key."""
        headers = message["headers"]
        wanted = SENSITIVE in headers
        if not (wanted or self.is_on) or "task" not in headers or "id" not in headers:
            return message
        headers = {name: value for name, value in headers.items() if name != SENSITIVE}
        if wanted or self.encrypts:
            return self._encrypted(message, headers)
        return self._signed(message, headers)

    def _encrypted(self, message: dict[str, Any], headers: dict[str, Any]) -> dict[str, Any]:
        head = _head(message, headers, "body_encoding")
        body = (message.get("body") or "").encode("utf-8", "surrogatepass")
        return {
            **message,
            "body": self.keyring.seal(framed(head.encode("utf-8", "surrogatepass"), body), _bound(headers)),
            "content-type": _SEALED,
            "content-encoding": "utf-8",
            "headers": {name: headers[name] for name in _OUTSIDE if name in headers},
            "properties": {**message["properties"], "body_encoding": "utf-8"},
        }

    def _signed(self, message: dict[str, Any], headers: dict[str, Any]) -> dict[str, Any]:
        head = _head(message, headers)
        name, signature = self.keyring.sign(_signed_data(head, message), _bound(headers))
        return {**message, "headers": {**headers, _SIGNED: {"key": name, "signature": signature, "head": head}}}

    def open(self, message: dict[str, Any]) -> Secured:
        """Make of an envelope what it was before it was protected; return how it was.

        Raises :exc:`PayloadRefused`; the envelope is left as it came then.
        """
        signed = message["headers"].get(_SIGNED)
        try:
            if message.get("content-type") == _SEALED:
                return self._open_encrypted(message)
            if signed is not None and self.keyring:
                return self._open_signed(message, signed)
        except (AttributeError, KeyError, TypeError, ValueError):
            # Of other types than anything that Umbel has written.
            raise PayloadRefused(
                "A protected message is damaged, or was written by a newer version of Umbel."
            ) from None
        if signed is not None:
            # Whoever has no keys asks for no signatures.
            del message["headers"][_SIGNED]
        return ""

    def _open_encrypted(self, message: dict[str, Any]) -> Secured:
        try:
            head, body = unframed(self.keyring.open(str(message.get("body")), _bound(message["headers"])))
        except ConfigurationError as error:
            raise PayloadRefused(str(error)) from None
        _restore(message, head.decode("utf-8", "surrogatepass"))
        message["body"] = body.decode("utf-8", "surrogatepass")
        return "encrypt"

    def _open_signed(self, message: dict[str, Any], signed: Any) -> Secured:
        name, signature, head = (signed[part] for part in ("key", "signature", "head"))
        if not all(isinstance(part, str) for part in (name, signature, head)):
            raise TypeError
        self.keyring.verify(name, signature, _signed_data(head, message), _bound(message["headers"]))
        _restore(message, head)
        # The bytes are what was signed; this is how they were read.
        properties = message["properties"]
        properties["body_encoding"] = "base64" if properties.get("body_encoding") == "base64" else "utf-8"
        return "sign"

    # -- results ----------------------------------------------------------------------------------------------

    def result(self, task_id: str, state: str, document: str | bytes) -> str | bytes:
        """Return a result's document as it is to be stored; its state stays to be read."""
        if not self.encrypts:
            return document
        outside: dict[str, Any] = {
            "status": state,
            "result": None,
            "traceback": None,
            "children": [],
            "task_id": task_id,
        }
        return json.dumps({**outside, _RESULT: self._sealed("result", task_id, document)})

    def open_result(self, task_id: str, document: str | bytes) -> str | bytes:
        """Return a result's document as it was. Raises :exc:`PayloadRefused`."""
        mark = _RESULT_MARK if isinstance(document, str) else _RESULT_MARK.encode()
        if mark not in document:  # type: ignore[operator]
            return document
        try:
            sealed = json.loads(document).get(_RESULT)
        except (ValueError, AttributeError):
            return document
        return document if sealed is None else self._opened("result", task_id, str(sealed))

    def part(self, task_id: str, result: str | bytes, *, secret: bool = False) -> str | bytes:
        """Return a chord member's result as it is to be stored. ``secret``: encrypted in any case."""
        return json.dumps({_RESULT: self._sealed("part", task_id, result)}) if self.encrypts or secret else result

    def open_part(self, task_id: str, result: str | bytes) -> str | bytes:
        """Return a chord member's result as it was. Raises :exc:`PayloadRefused`."""
        start = f"{{{_RESULT_MARK}: "
        text = result if isinstance(result, str) else bytes(result).decode("utf-8", "surrogateescape")
        return self._opened("part", task_id, str(json.loads(text)[_RESULT])) if text.startswith(start) else result

    def _sealed(self, purpose: str, task_id: str, text: str | bytes) -> str:
        data = b"t" + text.encode("utf-8", "surrogatepass") if isinstance(text, str) else b"b" + bytes(text)
        return self.keyring.seal(data, (purpose, task_id))

    def _opened(self, purpose: str, task_id: str, sealed: str) -> str | bytes:
        try:
            data = self.keyring.open(sealed, (purpose, task_id))
        except ConfigurationError as error:
            raise PayloadRefused(str(error)) from None
        return data[1:].decode("utf-8", "surrogatepass") if data[:1] == b"t" else data[1:]


def complete(app: Any, protection: Protection) -> None:
    """Have every task of ``app`` declared, so that those with sensitive arguments are known."""
    if protection.keyring and not app.finalized and app.autofinalize:
        app.finalize(auto=True)


def refusal_of(headers: Mapping[str, Any]) -> PayloadRefused:
    """Return why a message that is not protected does not run."""
    return PayloadRefused(
        f"The message of {headers.get('task') or 'a job'} is neither signed nor encrypted, and "
        "UMBEL_PAYLOAD_PROTECTION asks for it: give its sender the same keys, or set UMBEL_PAYLOAD_UNPROTECTED=accept."
    )


def carries(names: set[str], value: Any) -> bool:
    """Whether a signature of one of the tasks ``names`` is somewhere in ``value``."""
    seen: set[int] = set()
    left = [value]
    while left:
        one = left.pop()
        if isinstance(one, (str, bytes)) or not isinstance(one, (Mapping, Sequence)) or id(one) in seen:
            continue
        seen.add(id(one))
        if isinstance(one, Mapping):
            task = one.get("task")
            if isinstance(task, str) and task in names:
                return True
            left.extend(one.values())
        else:
            left.extend(one)
    return False


def _bound(headers: Mapping[str, Any]) -> tuple[str, ...]:
    return ("message", str(headers.get("id")), str(headers.get("task")))


def _head(message: dict[str, Any], headers: dict[str, Any], *more: str) -> str:
    properties = message["properties"]
    return envelope.encode(
        {
            "headers": headers,
            "content-type": message.get("content-type"),
            "content-encoding": message.get("content-encoding"),
            "properties": {name: properties[name] for name in (*_PROPERTIES, *more) if name in properties},
        }
    )


def _restore(message: dict[str, Any], head: str) -> None:
    inside = envelope.decode(head)
    _keep(message["headers"], inside["headers"])
    properties = message["properties"]
    for name in _PROPERTIES:
        properties.pop(name, None)
    properties.update(inside.pop("properties"))
    message.update(inside)


def _keep(outside: dict[str, Any], headers: dict[str, Any]) -> None:
    """Take over what is added to a message that rests, by whoever has no key: an outbox, a limit, a replay.

    It cannot make anything of a job but that it runs once more, which a copy of its first message does too, or retries
    for longer or less long.
    """
    if outside.get("umbel_once"):
        headers["umbel_once"] = True
    first = outside.get(FIRST)
    if isinstance(first, (int, float)):
        # It was put off before it ran.
        headers.setdefault(FIRST, first)
    replay = outside.get(REPLAY)
    if replay is not None and replay != headers.get(REPLAY):
        headers.update({name: outside[name] for name in (REPLAY, FAILURES) if name in outside}, retries=0, eta=None)
        for name in COUNTED:
            headers.pop(name, None)
        if outside.get("expires") is None and headers.get("expires") is not None:
            headers["expires"] = None


def _signed_data(head: str, message: dict[str, Any]) -> bytes:
    # A broker may carry a body in another way than it was given: its bytes are what counts.
    body = message.get("body") or ""
    if message["properties"].get("body_encoding") == "base64":
        data = b64decode(body)
    else:
        data = body.encode("utf-8", "surrogatepass")
    return framed(head.encode("utf-8", "surrogatepass"), data)
