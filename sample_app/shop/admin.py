from __future__ import annotations

from django.contrib import admin, messages
from django.db import transaction
from django.db.models import QuerySet
from django.forms import ModelForm
from django.http import HttpRequest

from shop import prices
from shop.models import (
    LedgerEntry,
    Notice,
    Order,
    OrderEvent,
    PriceChange,
    Product,
    ProductImport,
    Report,
    WebhookDelivery,
)
from shop.notice_tasks import publish_and_tell
from shop.tasks import deliver_webhook


class OrderEventInline(admin.TabularInline):
    model = OrderEvent
    readonly_fields = ("step", "worker", "at")
    can_delete = False

    def has_add_permission(self, request: HttpRequest, obj: Order | None = None) -> bool:
        return False


@admin.register(Order)
class OrderAdmin(admin.ModelAdmin):
    list_display = ("pk", "item", "amount", "state", "placed_at")
    list_filter = ("state", "item")
    search_fields = ("=pk", "=batch")
    date_hierarchy = "placed_at"
    inlines = (OrderEventInline,)


@admin.register(WebhookDelivery)
class WebhookDeliveryAdmin(admin.ModelAdmin):
    list_display = ("order", "state", "attempts", "response_status", "reason", "changed_at")
    list_filter = ("state", "response_status")
    search_fields = ("=order__pk", "=pk")
    list_select_related = ("order",)
    raw_id_fields = ("order",)
    actions = ("deliver_again",)

    @admin.action(description="Deliver again", permissions=["change"])
    @transaction.atomic
    def deliver_again(self, request: HttpRequest, deliveries: QuerySet[WebhookDelivery]) -> None:
        for delivery in deliveries.select_for_update():
            delivery.state, delivery.attempts = delivery.State.WAITING, 0
            delivery.save(update_fields=["state", "attempts", "changed_at"])
            publish_and_tell(deliver_webhook, str(delivery.pk))
        self.message_user(request, "Sent to the workers.", messages.SUCCESS)


@admin.register(Product)
class ProductAdmin(admin.ModelAdmin):
    list_display = ("name", "price")
    search_fields = ("name",)


@admin.register(PriceChange)
class PriceChangeAdmin(admin.ModelAdmin):
    list_display = ("product", "price", "due_at", "applied_at")
    list_filter = ("applied_at",)
    autocomplete_fields = ("product",)

    def has_change_permission(self, request: HttpRequest, obj: PriceChange | None = None) -> bool:
        return False

    def save_model(self, request: HttpRequest, obj: PriceChange, form: ModelForm[PriceChange], change: bool) -> None:
        prices.plan(obj)


@admin.register(Notice)
class NoticeAdmin(admin.ModelAdmin):
    list_display = ("text", "at")
    search_fields = ("text",)


@admin.register(ProductImport)
class ProductImportAdmin(admin.ModelAdmin):
    list_display = ("pk", "file_name", "state", "started_at", "ended_at")
    list_filter = ("state",)


@admin.register(Report)
class ReportAdmin(admin.ModelAdmin):
    list_display = ("pk", "state", "percent", "total", "requested_at", "finished_at")
    list_filter = ("state",)


@admin.register(LedgerEntry)
class LedgerEntryAdmin(admin.ModelAdmin):
    list_display = ("key", "starts", "effects", "worker", "at")
    list_filter = ("effects",)
    search_fields = ("key",)
