from __future__ import annotations

from decimal import Decimal

from django.core.validators import MinValueValidator
from django.db import models

CHEAPEST = Decimal("0.01")


class Product(models.Model):
    """What the shop sells."""

    name = models.CharField(max_length=80, unique=True)
    price = models.DecimalField(max_digits=8, decimal_places=2, validators=[MinValueValidator(CHEAPEST)])
    sold = models.PositiveIntegerField(default=0, db_default=0, editable=False, help_text="As counted last night.")

    class Meta:
        ordering = ("pk",)

    def __str__(self) -> str:
        return self.name
