"""Tasks that try again."""

from __future__ import annotations

from typing import Any

from tests.acceptance.semantics.catalogue import declare
from tests.acceptance.semantics.declared.plain import describe
from tests.acceptance.semantics.faults import Chosen
from tests.acceptance.semantics.trail import note

__all__ = ()


@declare(bind=True, max_retries=5, default_retry_delay=0)
def flaky(self: Any, key: str, times: int, countdown: float = 0, value: Any = "done") -> Any:
    """Fail ``times`` times, then succeed."""
    note(key, "try", retries=self.request.retries, id=self.request.id)
    if self.request.retries < times:
        raise self.retry(countdown=countdown)
    return value


@declare(bind=True, max_retries=5, default_retry_delay=0)
def flaky_step(self: Any, value: Any, key: str, times: int) -> Any:
    """As ``flaky``, as a later member of a chain."""
    note(key, "try", retries=self.request.retries)
    if self.request.retries < times:
        raise self.retry()
    return value


@declare(bind=True, max_retries=2, default_retry_delay=0)
def give_up(self: Any, key: str) -> None:
    note(key, "try", retries=self.request.retries)
    raise self.retry()


@declare(bind=True, max_retries=1, default_retry_delay=0)
def give_up_chosen(self: Any, key: str) -> None:
    note(key, "try", retries=self.request.retries)
    raise self.retry(exc=Chosen("used up"))


@declare(bind=True, max_retries=0)
def never_again(self: Any, key: str) -> None:
    note(key, "try")
    try:
        raise KeyError("original")
    except KeyError as error:
        raise self.retry(exc=error) from error


@declare(bind=True, max_retries=None, default_retry_delay=0)
def for_ever(self: Any, key: str, times: int) -> int:
    note(key, "try")
    if self.request.retries < times:
        raise self.retry()
    return int(self.request.retries)


@declare(bind=True, default_retry_delay=0)
def retry_with_arguments(self: Any, key: str, word: str = "first") -> str:
    note(key, "try", word=word)
    if word == "first":
        raise self.retry(args=(key,), kwargs={"word": "second"})
    return word


@declare(bind=True, default_retry_delay=0)
def retry_elsewhere(self: Any, key: str) -> str:
    note(key, "try", queue=self.request.delivery_info["routing_key"])
    if self.request.retries == 0:
        raise self.retry(queue="side")
    return str(self.request.delivery_info["routing_key"])


@declare(bind=True, default_retry_delay=0)
def retry_quietly(self: Any, key: str) -> str:
    """Order another try, and still end this one with a result."""
    note(key, "try", retries=self.request.retries)
    if self.request.retries == 0:
        self.retry(throw=False)
    return f"try {self.request.retries}"


@declare(bind=True, max_retries=5)
def retry_limited_once(self: Any, key: str) -> None:
    """Let ``max_retries`` of the call be less than that of the task."""
    note(key, "try")
    raise self.retry(countdown=0, max_retries=1, exc=Chosen("limited"))


@declare(
    bind=True,
    autoretry_for=(Chosen,),
    dont_autoretry_for=(KeyError,),
    retry_kwargs={"max_retries": 2, "countdown": 0},
)
def auto(self: Any, key: str, times: int) -> int:
    note(key, "try", retries=self.request.retries)
    if self.request.retries < times:
        raise Chosen("again")
    return int(self.request.retries)


@declare(bind=True, autoretry_for=(Exception,), dont_autoretry_for=(KeyError,), retry_kwargs={"countdown": 0})
def auto_but(self: Any, key: str) -> None:
    note(key, "try")
    raise KeyError("not this one")


@declare(bind=True, autoretry_for=(Chosen,), retry_backoff=1, retry_backoff_max=1, retry_jitter=False, max_retries=2)
def auto_backoff(self: Any, key: str) -> str:
    note(key, "try", retries=self.request.retries)
    if self.request.retries < 1:
        raise Chosen("again")
    return "backed off"


@declare(bind=True, autoretry_for=(Chosen,), retry_backoff=False, max_retries=1, default_retry_delay=0)
def auto_used_up(self: Any, key: str) -> None:
    note(key, "try")
    raise Chosen("every time")


@declare(bind=True, max_retries=1, default_retry_delay=0)
def retried_whoami(self: Any) -> dict[str, Any]:
    if self.request.retries == 0:
        raise self.retry()
    return describe(self)
