from shop.models.imports import ImportRow, ProductImport
from shop.models.ledger import LedgerEntry
from shop.models.notices import Notice
from shop.models.orders import Order, OrderEvent, OrderQuerySet, Step
from shop.models.prices import PriceChange
from shop.models.products import Product
from shop.models.reports import Report, ReportFile
from shop.models.webhooks import WebhookDelivery

__all__ = [
    "ImportRow",
    "LedgerEntry",
    "Notice",
    "Order",
    "OrderEvent",
    "OrderQuerySet",
    "PriceChange",
    "Product",
    "ProductImport",
    "Report",
    "ReportFile",
    "Step",
    "WebhookDelivery",
]
