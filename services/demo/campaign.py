"""The demo's campaign, driven as anybody would: over the service's HTTP interface."""

import csv
import io
from dataclasses import dataclass

import httpx

__all__ = ("Campaign", "State")

_SUBJECT = "{{ first_name }}, the umbel is in flower"
_TEXT = """Dear {{ first_name }} {{ last_name }},

an umbel is the flower head of the celery family: many small flowers on one stem.
This mail to {{ email }} was sent by one job of {{ total }}.

Yours,
the demo
"""
_HTML = """<!doctype html>
<html lang="en">
  <body style="font: 1rem/1.5 system-ui, sans-serif; max-width: 36rem; margin: 1rem auto; padding: 0 1rem">
    <h1 style="color: #2f7d46">Dear {{ first_name }} {{ last_name }},</h1>
    <p>an umbel is the flower head of the celery family: <em>many small flowers on one stem</em>.</p>
    <p>This mail to <strong>{{ email }}</strong> was sent by one job of {{ total }}.</p>
    <p>Yours,<br>the demo</p>
  </body>
</html>
"""
_FIRST = ("Ada", "Björn", "Chioma", "Dilek", "Émile", "Fatima", "Grace", "Hùng", "Ines", "Joaquín")
_LAST = ("Adler", "Baptiste", "Chen", "Díaz", "Eriksen", "Fischer", "Gupta", "Hopper", "Ito", "Jansen")


@dataclass(frozen=True, slots=True)
class State:
    """How far the campaign is; ``seconds`` is its length when it has ended."""

    state: str
    total: int
    done: int
    sent: int
    failed: int
    uncertain: int
    seconds: float | None

    @property
    def ended(self) -> bool:
        """Whether no mail is left to send."""
        return self.state in ("finished", "cancelled")


class Campaign:
    """A new campaign at the service, with ``recipients`` generated recipients."""

    def __init__(self, client: httpx.Client, recipients: int) -> None:
        """Create it and upload its CSV. Raises ``httpx.HTTPError``."""
        self._client = client
        body = {"name": "The demo", "subject": _SUBJECT, "text": _TEXT, "html": _HTML}
        self.id = self._post("/campaigns", json=body)["id"]
        self._post(f"/campaigns/{self.id}/recipients", files={"file": ("recipients.csv", _csv(recipients), "text/csv")})

    def start(self) -> None:
        """Start it now."""
        self._post(f"/campaigns/{self.id}/start")

    def state(self) -> State:
        """Ask how far it is."""
        found = self._client.get(f"/campaigns/{self.id}").raise_for_status().json()
        counts = found["recipients"]
        total, ends = sum(counts.values()), {name: counts[name] for name in ("sent", "failed", "uncertain")}
        seconds = found["ended"] - found["started"] if found["ended"] else None
        return State(state=found["state"], total=total, done=sum(ends.values()), seconds=seconds, **ends)

    def _post(self, path: str, **content: object) -> dict[str, int]:
        answer: dict[str, int] = self._client.post(path, **content).raise_for_status().json()  # type: ignore[arg-type]
        return answer


def _csv(recipients: int) -> bytes:
    text = io.StringIO()
    rows = csv.writer(text)
    rows.writerow(("email", "first_name", "last_name", "total"))
    for number in range(recipients):
        first, last = _FIRST[number % 10], _LAST[number // 10 % 10]
        rows.writerow((f"reader{number + 1:04}@example.test", first, last, recipients))
    return text.getvalue().encode()
