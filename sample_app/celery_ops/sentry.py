"""Reports failures to Sentry, or what speaks its protocol, where the secret SENTRY_DSN names one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.core.exceptions import ImproperlyConfigured

from celery_ops import correlation, environment

if TYPE_CHECKING:
    from sentry_sdk.types import Event, Hint


def report_failures() -> None:
    """Of requests and of tasks, each with its id (sentry-sdk's own tag) and with the correlation id."""
    dsn = environment.secret("SENTRY_DSN")
    if not dsn:
        return
    try:
        import sentry_sdk
        from sentry_sdk.utils import BadDsn
    except ImportError:
        raise ImproperlyConfigured(
            "SENTRY_DSN: needs the package sentry-sdk; add it to requirements.txt, or take the secret away"
        ) from None
    try:
        # Local variables hold arguments of tasks, and addresses with passwords.
        sentry_sdk.init(dsn=dsn, before_send=with_correlation_id, include_local_variables=False)
    except BadDsn:
        raise ImproperlyConfigured("SENTRY_DSN: not an address of Sentry; set it to https://key@host/project") from None
    from celery.app import trace
    from celery.worker.consumer import consumer

    # It was imported by name before sentry-sdk wrapped it, and pools without processes use that one.
    consumer.build_tracer = trace.build_tracer


def with_correlation_id(event: Event, hint: Hint) -> Event:
    if correlation_id := correlation.current.get():
        event.setdefault("tags", {})["correlation_id"] = correlation_id
    return event
