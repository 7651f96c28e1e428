"""Static files, under addresses that hold a digest of all of them, so that browsers keep them for ever.

``/static/{digest}/{file}``: the digest changes whenever any file does, and modules find each other by relative names.
An address of another release is answered with today's file, not to be kept. Read once, kept in memory, packed by gzip.
"""

from __future__ import annotations

import gzip
import hashlib
import mimetypes
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from umbel.web.problems import Problem

__all__ = ("Assets", "router")

router: Final = APIRouter()
_FOLDER: Final = Path(__file__).resolve().parent / "static"
_FOREVER: Final = "public, max-age=31536000, immutable"
_TYPES: Final = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}


@dataclass(frozen=True, slots=True)
class _File:
    plain: bytes
    packed: bytes
    kind: str


class Assets:
    """The files of a folder."""

    def __init__(self, folder: Path = _FOLDER) -> None:
        self._files: Final[Mapping[str, _File]] = {
            path.relative_to(folder).as_posix(): _read(path) for path in sorted(folder.rglob("*")) if path.is_file()
        }
        digest = hashlib.sha256()
        for name, file in self._files.items():
            digest.update(f"{name}\0{len(file.plain)}\0".encode() + file.plain)
        #: Of all files.
        self.digest: Final = digest.hexdigest()[:16]

    def address(self, name: str) -> str:
        """Return where a file is, within the site. Raises :exc:`KeyError` for one that there is not."""
        if name not in self._files:
            raise KeyError(f"web/static has no {name}")
        return f"/static/{self.digest}/{name}"

    def answer(self, request: Request, digest: str, name: str) -> Response:
        """Return a file. Raises a :exc:`Problem` (404)."""
        file = self._files.get(name)
        if file is None:
            raise Problem(404, "not-found", "There is no such file.")
        packed = "gzip" in request.headers.get("accept-encoding", "")
        headers = {"Cache-Control": _FOREVER if digest == self.digest else "no-store", "Vary": "Accept-Encoding"}
        if packed:
            headers["Content-Encoding"] = "gzip"
        return Response(file.packed if packed else file.plain, media_type=file.kind, headers=headers)


def _read(path: Path) -> _File:
    plain = path.read_bytes()
    kind = _TYPES.get(path.suffix) or mimetypes.guess_type(path.name)[0] or "application/octet-stream"
    return _File(plain, gzip.compress(plain, mtime=0), kind)


@router.api_route("/static/{digest}/{name:path}", methods=["GET", "HEAD"])
def static(request: Request, digest: str, name: str) -> Response:
    """Return a static file."""
    assets: Assets = request.app.state.site.assets
    return assets.answer(request, digest, name)
