from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.html import format_html

from celery_ops.models import BeatLease, FailedTask, OutboxMessage
from celery_ops.replay import replay


class ReadOnlyAdmin(admin.ModelAdmin):
    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: object = None) -> bool:
        return False


class ReplayableAdmin(ReadOnlyAdmin):
    """Whose rows are tasks, by id, that may have ended without success."""

    actions = ("replay",)

    def has_replay_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("celery_ops.replay_failedtask")

    @admin.action(description="Run the selected tasks that ended without success again", permissions=["replay"])
    def replay(self, request: HttpRequest, tasks: QuerySet[Any]) -> None:
        chosen = {task.pk: task for task in tasks}
        sent = replay(chosen)
        for task_id in sent:
            self.log_change(request, chosen[task_id], f"Run again under its id, {task_id}.")
        self.message_user(request, f"{len(sent)} of {len(chosen)} tasks are sent again.", messages.SUCCESS)


@admin.register(OutboxMessage)
class OutboxMessageAdmin(ReplayableAdmin):
    list_display = ("id", "task", "queue", "state", "created_at", "sends", "retries", "holder")
    list_filter = ("state", "queue", "task")
    search_fields = ("id",)
    ordering = ("-created_at",)


@admin.register(FailedTask)
class FailedTaskAdmin(ReplayableAdmin):
    list_display = ("task", "exception_in_short", "queue", "worker", "failed_at", "outcome")
    list_filter = ("outcome", "task", "queue", "failed_at")
    search_fields = ("=task_id", "=correlation_id", "task", "exception", "args", "kwargs", "worker", "traceback")
    ordering = ("-failed_at",)
    date_hierarchy = "failed_at"
    fields = (
        ("task", "task_id"),
        ("outcome", "failed_at", "replayed_at"),
        ("queue", "worker", "correlation_id"),
        ("args", "kwargs"),
        "exception",
        "readable_traceback",
        "options",
    )

    @admin.display(description="exception", ordering="exception")
    def exception_in_short(self, failed: FailedTask) -> str:
        first_line = failed.exception.partition("\n")[0]
        return first_line if len(first_line) <= 100 else f"{first_line[:100]}…"

    @admin.display(description="traceback")
    def readable_traceback(self, failed: FailedTask) -> str:
        return format_html('<pre tabindex="0">{}</pre>', failed.traceback)


@admin.register(BeatLease)
class BeatLeaseAdmin(ReadOnlyAdmin):
    list_display = ("name", "holder", "expires_at")
