from __future__ import annotations

from django.db import models


class BeatLease(models.Model):
    """The one row whose holder may send periodic tasks; times are the database's clock."""

    name = models.CharField(max_length=64, primary_key=True)
    holder = models.CharField(max_length=255, blank=True)
    expires_at = models.DateTimeField(null=True)

    def __str__(self) -> str:
        return f"{self.name}: {self.holder or 'free'}"


class OutboxMessage(models.Model):
    """A task that was published inside a database transaction; `id` is the task's id."""

    id = models.CharField(max_length=64, primary_key=True)
    task = models.CharField(max_length=255)
    args = models.JSONField(default=list)
    kwargs = models.JSONField(default=dict)
    options = models.JSONField(default=dict)
    created_at = models.DateTimeField(auto_now_add=True)
    acknowledged_at = models.DateTimeField(null=True)

    def __str__(self) -> str:
        return f"{self.task}[{self.id}]"
