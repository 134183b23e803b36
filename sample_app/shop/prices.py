"""Planning a change of price."""

from __future__ import annotations

import json
from datetime import timedelta

from django.db import transaction
from django.utils import timezone
from django_celery_beat.models import ClockedSchedule, PeriodicTask

from shop.models import PriceChange
from shop.notice_tasks import tell_operator
from shop.price_tasks import change_price
from shop.retrying import LONGEST_WAIT

SECOND_THOUGHTS = 30
"""Seconds in which a change may be taken back."""


@transaction.atomic
def plan(change: PriceChange) -> None:
    """By a message when it is soon. A later one waits in the database's schedule, where it holds no worker."""
    change.save()
    link = tell_operator.s(key=f"price-change-{change.pk}")
    if change.due_at is None:
        change_price.apply_async_on_commit([change.pk], countdown=SECOND_THOUGHTS, link=link)
    elif change.due_at <= timezone.now() + timedelta(seconds=LONGEST_WAIT):
        change_price.apply_async_on_commit([change.pk], eta=change.due_at, link=link)
    else:
        clocked, _ = ClockedSchedule.objects.get_or_create(clocked_time=change.due_at)
        name, args = f"price change {change.pk}", json.dumps([change.pk])
        PeriodicTask.objects.create(name=name, task=change_price.name, args=args, clocked=clocked, one_off=True)
