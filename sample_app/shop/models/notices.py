from __future__ import annotations

from django.db import models
from django.utils import timezone


class NoticeQuerySet(models.QuerySet["Notice"]):
    def tell(self, key: str, text: str) -> None:
        """Once, however often it is told: the key is unique."""
        self.bulk_create([Notice(key=key, text=text[:200])], ignore_conflicts=True)


class Notice(models.Model):
    """What the operator should look at."""

    key = models.CharField(max_length=100, unique=True)
    text = models.CharField(max_length=200)
    at = models.DateTimeField(default=timezone.now)

    objects = NoticeQuerySet.as_manager()

    class Meta:
        ordering = ("-pk",)

    def __str__(self) -> str:
        return self.text
