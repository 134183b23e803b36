from __future__ import annotations

from django.core.validators import MinValueValidator
from django.db import models

from shop.models.products import CHEAPEST, Product


class PriceChange(models.Model):
    """A price from a moment on. Until it is applied, deleting it takes it back."""

    product = models.ForeignKey(Product, on_delete=models.CASCADE, related_name="price_changes")
    price = models.DecimalField(max_digits=8, decimal_places=2, validators=[MinValueValidator(CHEAPEST)])
    due_at = models.DateTimeField(null=True, blank=True, help_text="Empty: in half a minute, for second thoughts.")
    applied_at = models.DateTimeField(null=True, blank=True, editable=False)

    class Meta:
        ordering = ("-pk",)

    def __str__(self) -> str:
        return f"{self.product} for {self.price}"
