from __future__ import annotations

from django.db import models
from django.db.models import F
from django.utils import timezone


class LedgerQuerySet(models.QuerySet["LedgerEntry"]):
    def start(self, key: str) -> None:
        self.of(key).update(starts=F("starts") + 1)

    def take_effect(self, key: str, worker: str) -> None:
        """Counts, and prevents nothing: that a task takes effect once is what the ledger proves of the outbox."""
        self.of(key).update(effects=F("effects") + 1, worker=worker, at=timezone.now())

    def of(self, key: str) -> LedgerQuerySet:
        """The entry, made by whoever comes first: a start that the database does not answer is not noted."""
        entry, _ = self.get_or_create(key=key)
        return self.filter(pk=entry.pk)


class LedgerEntry(models.Model):
    """How often a task that was sent took effect: what fault tests read. `starts` counts every delivery."""

    key = models.CharField(max_length=100, unique=True)
    starts = models.PositiveIntegerField(default=0)
    effects = models.PositiveIntegerField(default=0)
    worker = models.CharField(max_length=255, blank=True)
    at = models.DateTimeField(null=True, blank=True)

    objects = LedgerQuerySet.as_manager()

    class Meta:
        verbose_name_plural = "ledger entries"

    def __str__(self) -> str:
        return self.key
