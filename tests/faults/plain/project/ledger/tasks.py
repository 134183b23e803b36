import time

from celery import shared_task
from django.db.models import F
from django.utils import timezone

from ledger.models import Entry


@shared_task
def record_effect(key: str, seconds: float) -> None:
    entry = Entry.objects.filter(key=key)
    entry.update(starts=F("starts") + 1)
    time.sleep(seconds)
    entry.update(effects=F("effects") + 1, at=timezone.now())
