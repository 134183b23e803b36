"""How often each product was sold. The next night counts anew, so these messages may be lost: none is of the outbox."""

from __future__ import annotations

from celery import shared_task
from django.db.models import Count, IntegerField, OuterRef, Subquery
from django.db.models.functions import Coalesce

from shop.models import Order, Product

MOST_IN_A_MESSAGE = 100


@shared_task
def count_sold(product_id: int) -> None:
    orders = Order.objects.filter(item=OuterRef("name")).order_by().values("item").values_list(Count("pk"))
    count = Coalesce(Subquery(orders, output_field=IntegerField()), 0)
    Product.objects.filter(pk=product_id).exclude(sold=count).update(sold=count)


@shared_task
def count_all_sold() -> None:
    """A few products are one message, which a worker works through; many are cut into such messages."""
    ids = list(Product.objects.values_list("pk", flat=True))
    if len(ids) <= MOST_IN_A_MESSAGE:
        count_sold.map(ids).apply_async()
    else:
        count_sold.chunks([(product_id,) for product_id in ids], MOST_IN_A_MESSAGE).apply_async()
