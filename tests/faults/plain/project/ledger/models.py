from django.db import models


class Entry(models.Model):
    """A task that was to be sent, and how often it took effect, in a table like the shop's."""

    key = models.CharField(max_length=100, unique=True)
    starts = models.PositiveIntegerField(default=0)
    effects = models.PositiveIntegerField(default=0)
    at = models.DateTimeField(null=True)

    class Meta:
        db_table = "shop_ledgerentry"

    def __str__(self) -> str:
        return str(self.key)
