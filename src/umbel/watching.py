"""Settings for whoever watches: logs, traces, metrics, autoscaling, alerts. A part of ``umbel.settings.Settings``."""

from __future__ import annotations

from datetime import timedelta
from typing import Literal

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings

from umbel.setting_types import Duration, Names

__all__ = ("WatchingSettings",)


class WatchingSettings(BaseSettings):
    """What is told to whom."""

    log_format: Literal["text", "json"] = Field(
        "text", description="How workers log: lines for people, or a JSON object a line."
    )
    traces: bool = Field(False, description="Whether OpenTelemetry follows jobs from their dispatch through their run.")
    metrics_open: bool = Field(False, description="Whether /metrics and /autoscale are told without signing in.")
    autoscale_min: int = Field(1, ge=0, le=10_000, description="The fewest replicas of the workers that are wanted.")
    autoscale_max: int = Field(10, ge=1, le=10_000, description="The most replicas of the workers that are wanted.")
    autoscale_drain: Duration = Field(
        timedelta(minutes=1), description="In what time what waits is to have begun: the shorter, the more replicas."
    )
    autoscale_hold: Duration = Field(
        timedelta(minutes=5), description="The busiest minute of so long counts, before replicas are given up."
    )
    alerts: bool = Field(True, description="Whether the recorder looks for what somebody should know, and tells.")
    alert_within: Duration = Field(
        timedelta(minutes=10), description="What happened within so long is counted: failures, dead letters."
    )
    alert_failures: int = Field(10, ge=1, le=1000, description="So many jobs that fail alike within it are an alert.")
    alert_dead_letters: int = Field(1, ge=1, le=1000, description="So many dead letters of a task within it are one.")
    alert_wait: Duration = Field(timedelta(minutes=5), description="A queue whose next job waits longer is an alert.")
    alert_waits: Names = Field((), description="The same for single queues: bulk=2h,mail=1m.")
    alert_webhook: Names = Field((), description="URLs that alerts are sent to, signed with UMBEL_WEBHOOK_SECRET.")
    alert_email: Names = Field((), description="Addresses that alerts are mailed to.")
    alert_sender: str | None = Field(None, max_length=320, description="From whom. Default: the first of those.")
    alert_smtp_url: SecretStr | None = Field(
        None, description="Through which server: smtp:// (with STARTTLS where it offers it) or smtps://."
    )
