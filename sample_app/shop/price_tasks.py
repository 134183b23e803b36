from __future__ import annotations

from celery import shared_task
from celery.exceptions import Ignore
from django.utils import timezone

from celery_ops.outbox import OutboxTask
from shop.models import PriceChange
from shop.retrying import UNTIL_THE_DATABASE_IS_BACK


@shared_task(base=OutboxTask, atomic=True, **UNTIL_THE_DATABASE_IS_BACK)
def change_price(change_id: int) -> str:
    """Says what it did. Of one that was taken back there is nothing to say to what follows."""
    open_changes = PriceChange.objects.select_related("product").filter(applied_at=None)
    change = open_changes.select_for_update().filter(pk=change_id).first()
    if change is None:
        raise Ignore
    change.product.price = change.price
    change.product.save(update_fields=["price"])
    change.applied_at = timezone.now()
    change.save(update_fields=["applied_at"])
    return f"{change.product} costs € {change.price} now."
