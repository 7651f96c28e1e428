"""Jobs that log and that are followed: spans go into a file, a JSON object a line, whichever process ends them."""

from __future__ import annotations

import asyncio
import json
import logging
import os
from collections.abc import Sequence
from pathlib import Path

from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SimpleSpanProcessor, SpanExporter, SpanExportResult

from umbel import Fail, Retry, Umbel

__all__ = ("app",)

logger = logging.getLogger("shop.mail")
_SPANS = Path(os.environ.get("PLANT_TRAIL", "trail")).with_name("spans")


class _IntoFile(SpanExporter):
    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        fd = os.open(_SPANS, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            for span in spans:
                os.write(fd, json.dumps(json.loads(span.to_json())).encode() + b"\n")
        finally:
            os.close(fd)
        return SpanExportResult.SUCCESS


provider = TracerProvider()
# Usually spans are exported some at a time, seconds later.
processor = BatchSpanProcessor if os.environ.get("WATCHED_BATCHES") else SimpleSpanProcessor
provider.add_span_processor(processor(_IntoFile()))
trace.set_tracer_provider(provider)
tracer = trace.get_tracer("shop")

app = Umbel("watched")


@app.task(name="sync.parent")
def parent(word: str) -> str:
    with tracer.start_as_current_span("work"):
        logger.warning("begins %s", word, extra={"order": 7})
        print("printed", word)
        app.send_task("async.child", [word])
    return word


@app.task(name="async.parent")
async def aparent(word: str) -> str:
    with tracer.start_as_current_span("work"):
        await asyncio.sleep(0.001)
        logger.warning("begins %s", word, extra={"order": 7})
        print("printed", word)
        await asyncio.gather(asyncio.to_thread(app.send_task, "async.child", [word]))
    return word


@app.task(name="async.child")
async def child(word: str) -> str:
    await asyncio.sleep(0)
    return word


@app.task(name="sync.again", retry=Retry(2, backoff=0))
def again(word: str) -> str:
    request = again.request
    if request.retries < 2:
        raise ConnectionError(word)
    return word


@app.task(name="sync.fail")
def fail(word: str) -> None:
    raise Fail(word)
