from shop.models.imports import ImportRow, ProductImport
from shop.models.ledger import LedgerEntry
from shop.models.orders import Order, OrderEvent, OrderQuerySet, Step
from shop.models.products import Product
from shop.models.reports import Report
from shop.models.webhooks import WebhookDelivery

__all__ = [
    "ImportRow",
    "LedgerEntry",
    "Order",
    "OrderEvent",
    "OrderQuerySet",
    "Product",
    "ProductImport",
    "Report",
    "Step",
    "WebhookDelivery",
]
