from __future__ import annotations

import pytest
from django.test import Client

from celery_ops.models import OutboxMessage
from shop.models import LedgerEntry, Notice, Order, PriceChange, Product, ProductImport, Report, WebhookDelivery


@pytest.mark.parametrize(
    "model", ["order", "webhookdelivery", "report", "ledgerentry", "product", "productimport", "pricechange", "notice"]
)
def test_lists_and_forms_open(admin_client: Client, order: Order, model: str) -> None:
    order.events.create(step="charge", worker="high@a")
    pages = {
        "order": order,
        "webhookdelivery": WebhookDelivery.objects.create(order=order),
        "report": Report.objects.create(),
        "ledgerentry": LedgerEntry.objects.create(key="a key"),
        "product": (tea := Product.objects.create(name="Tea", price=1)),
        "productimport": ProductImport.objects.create(file_name="teas.csv"),
        "pricechange": PriceChange.objects.create(product=tea, price=2),
        "notice": Notice.objects.create(key="a key", text="Look here."),
    }
    search = f"/admin/shop/{model}/?q=1"
    for path in (f"/admin/shop/{model}/", search, f"/admin/shop/{model}/{pages[model].pk}/change/"):
        assert admin_client.get(path, secure=True).status_code == 200, path


def test_a_failed_webhook_can_be_delivered_again(admin_client: Client, order: Order) -> None:
    delivery = WebhookDelivery.objects.create(order=order, state="failed", attempts=13)
    fields = {"action": "deliver_again", "_selected_action": [str(delivery.pk)]}
    page = admin_client.post("/admin/shop/webhookdelivery/", fields, secure=True, follow=True)
    assert "Sent to the workers." in page.content.decode()
    delivery.refresh_from_db()
    assert (delivery.state, delivery.attempts) == ("waiting", 0)
    assert OutboxMessage.objects.get().task == "shop.tasks.deliver_webhook"
