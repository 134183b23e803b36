"""Whether this process is up, and whether it can do its work."""

from __future__ import annotations

from collections.abc import Callable

from celery import current_app
from celery.utils.log import get_logger
from django.db import connection
from django.http import HttpRequest, JsonResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

NEEDED = "database"

logger = get_logger(__name__)


@require_safe
@never_cache
def healthz(request: HttpRequest) -> JsonResponse:
    return JsonResponse({"status": "ok"})


@require_safe
@never_cache
def readyz(request: HttpRequest) -> JsonResponse:
    """Names what is not reachable; why is in the log, for the message may name hosts and users.

    503 only without what a request needs: what it publishes while the broker is away, the outbox keeps.
    """
    unreachable = [name for name, reach in DEPENDENCIES.items() if not answers(name, reach)]
    is_ready = NEEDED not in unreachable
    body = {"status": "ok" if is_ready else "unreachable", "unreachable": unreachable}
    return JsonResponse(body, status=200 if is_ready else 503)


def answers(name: str, reach: Callable[[], None]) -> bool:
    try:
        reach()
    except Exception as error:
        logger.warning("readyz: %s is unreachable: %s", name, error)
        return False
    return True


def reach_database() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")


def reach_broker() -> None:
    with current_app.connection_for_write() as broker:
        broker.ensure_connection(max_retries=len(broker.alt) or 1, interval_start=0, interval_step=0, timeout=5)


DEPENDENCIES: dict[str, Callable[[], None]] = {NEEDED: reach_database, "broker": reach_broker}
