from __future__ import annotations

from django.contrib import admin
from django.db.models import QuerySet
from django.db.models.functions import Now
from django.http import HttpRequest

from celery_ops.models import BeatLease, OutboxMessage


class ReadOnlyAdmin(admin.ModelAdmin):
    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: object = None) -> bool:
        return False


@admin.register(OutboxMessage)
class OutboxMessageAdmin(ReadOnlyAdmin):
    list_display = ("id", "task", "queue", "state", "created_at", "sends", "retries", "holder")
    list_filter = ("state", "queue", "task")
    search_fields = ("id",)
    ordering = ("-created_at",)
    actions = ("run_again",)

    @admin.action(description="Run the selected tasks that ended without success again", permissions=["delete"])
    def run_again(self, request: HttpRequest, messages: QuerySet[OutboxMessage]) -> None:
        """The next sweep sends them."""
        count = (
            messages.exclude(acknowledged_at=None)
            .exclude(state="SUCCESS")
            .update(
                acknowledged_at=None, state="", started_at=None, sent_at=None, runs=0, retries=0, next_send_at=Now()
            )
        )
        self.message_user(request, f"The next sweep sends {count} tasks.")


@admin.register(BeatLease)
class BeatLeaseAdmin(ReadOnlyAdmin):
    list_display = ("name", "holder", "expires_at")
