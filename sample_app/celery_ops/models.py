from __future__ import annotations

from django.db import models
from django.db.models.functions import Now


class BeatLease(models.Model):
    """Who may send periodic tasks, and until when by the database's clock."""

    name = models.CharField(max_length=64, primary_key=True)
    holder = models.CharField(max_length=255, blank=True, help_text="Name of the beat, its host's as a rule.")
    process = models.CharField(max_length=64, blank=True, help_text="Which process of that name.")
    expires_at = models.DateTimeField(null=True)

    def __str__(self) -> str:
        return f"{self.name}: {self.holder or 'nobody'}"


class OutboxMessage(models.Model):
    """A task published inside a database transaction; `id` is the task's id. All times are the database's clock.

    Open until `acknowledged_at`, when `state` says how the task ended.
    """

    id = models.CharField(max_length=255, primary_key=True)
    task = models.CharField(max_length=255)
    args = models.JSONField(default=list)
    kwargs = models.JSONField(default=dict)
    options = models.JSONField(default=dict)
    queue = models.CharField(max_length=255)
    created_at = models.DateTimeField(db_default=Now())
    sent_at = models.DateTimeField(null=True, help_text="When it was sent, or is to start; empty: the sweep sends it.")
    sends = models.PositiveIntegerField(default=0, help_text="How often the sweep sent it again.")
    next_send_at = models.DateTimeField(help_text="When the sweep looks at it, unless it ended before.")
    retries = models.PositiveIntegerField(default=0)
    runs = models.PositiveIntegerField(default=0, help_text="Runs in a row that ended without an outcome.")
    started_at = models.DateTimeField(null=True)
    holder = models.CharField(max_length=255, blank=True, help_text="The run that works on it, or did last.")
    leased_until = models.DateTimeField(null=True, help_text="No other run may start before this.")
    suspected_at = models.DateTimeField(null=True, help_text="When it was noticed that the lease is over.")
    acknowledged_at = models.DateTimeField(null=True)
    state = models.CharField(max_length=16, blank=True)

    class Meta:
        indexes = (
            models.Index("next_send_at", name="outbox_open", condition=models.Q(acknowledged_at=None)),
            models.Index("queue", "sent_at", name="outbox_started", condition=models.Q(started_at__isnull=False)),
            models.Index("acknowledged_at", name="outbox_done", condition=models.Q(acknowledged_at__isnull=False)),
        )

    def __str__(self) -> str:
        return f"{self.task}[{self.id}]"


class FailedTask(models.Model):
    """A task that failed for good, as it did last; `task_id` is the task's id, which a replay keeps."""

    class Outcome(models.TextChoices):
        FAILED = "failed"
        REPLAYED = "replayed", "replayed, has not ended yet"
        RECOVERED = "recovered", "succeeded when it was replayed"

    task_id = models.CharField(max_length=255, primary_key=True)
    task = models.CharField(max_length=255)
    args = models.JSONField(default=list)
    kwargs = models.JSONField(default=dict)
    options = models.JSONField(default=dict, help_text="What else the message said, such as what follows the task.")
    queue = models.CharField(max_length=255, blank=True)
    worker = models.CharField(max_length=255, blank=True)
    correlation_id = models.CharField(max_length=255, blank=True)
    exception = models.TextField()
    traceback = models.TextField(blank=True)
    failed_at = models.DateTimeField(db_default=Now())
    replayed_at = models.DateTimeField(null=True)
    outcome = models.CharField(max_length=16, choices=Outcome, default=Outcome.FAILED)

    class Meta:
        permissions = (("replay_failedtask", "Can run failed tasks again"),)
        indexes = (models.Index("failed_at", name="failed_task_at"),)

    def __str__(self) -> str:
        return f"{self.task}[{self.task_id}]"
