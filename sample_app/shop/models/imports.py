"""A file of products, and what became of each of its rows."""

from __future__ import annotations

from django.db import models, transaction
from django.db.models import Q
from django.utils import timezone

from shop.forms import ProductForm
from shop.models.products import Product

SLICE = 100
"""Rows that are committed together: what a cancel has to wait for, and what a kill has done again."""


class ProductImportQuerySet(models.QuerySet["ProductImport"]):
    def end(self, import_id: int, state: ProductImport.State) -> bool:
        """Whether this call ended it."""
        running = self.filter(pk=import_id, state=ProductImport.State.RUNNING)
        if state == ProductImport.State.DONE:
            running = running.exclude(rows__state=ImportRow.State.WAITING)
        return bool(running.update(state=state, ended_at=timezone.now()))


class ProductImport(models.Model):
    class State(models.TextChoices):
        RUNNING = "running"
        CANCELLED = "cancelled"
        DONE = "done"

    state = models.CharField(max_length=9, choices=State, default=State.RUNNING)
    file_name = models.CharField(max_length=100)
    started_at = models.DateTimeField(default=timezone.now)
    ended_at = models.DateTimeField(null=True, blank=True)

    objects = ProductImportQuerySet.as_manager()

    class Meta:
        ordering = ("-pk",)
        constraints = (
            models.UniqueConstraint(fields=["state"], condition=Q(state="running"), name="one_import_at_a_time"),
        )

    def __str__(self) -> str:
        return f"Import {self.pk} of {self.file_name}"


class ImportRowQuerySet(models.QuerySet["ImportRow"]):
    @transaction.atomic
    def take_in(self, import_id: int, first: int, last: int) -> bool:
        """Puts the next of these lines into the catalogue; False when none waits, or the import has ended.

        The lock makes a second delivery of the same lines wait, and their state makes it find the next ones.
        """
        running = ProductImport.objects.filter(pk=import_id, state=ProductImport.State.RUNNING)
        waiting = self.filter(product_import__in=running, line__range=(first, last), state=ImportRow.State.WAITING)
        rows = list(waiting.select_for_update().order_by("line")[:SLICE])
        products = [product for row in rows if (product := row.checked())]
        Product.objects.bulk_create(products, update_conflicts=True, unique_fields=["name"], update_fields=["price"])
        self.bulk_update(rows, ["state", "reason"])
        return bool(rows)


class ImportRow(models.Model):
    class State(models.TextChoices):
        WAITING = "waiting"
        IMPORTED = "imported"
        REFUSED = "refused"

    product_import = models.ForeignKey(ProductImport, on_delete=models.CASCADE, related_name="rows")
    line = models.PositiveIntegerField()
    name = models.TextField()
    price = models.TextField()
    state = models.CharField(max_length=8, choices=State, default=State.WAITING)
    reason = models.CharField(max_length=200, blank=True)

    objects = ImportRowQuerySet.as_manager()

    class Meta:
        ordering = ("line",)
        constraints = (models.UniqueConstraint(fields=["product_import", "line"], name="each_line_once"),)

    def __str__(self) -> str:
        return f"Line {self.line} of import {self.product_import_id}"

    def checked(self) -> Product | None:
        """The product that the row describes; None, with the reason noted, when it describes none."""
        form = ProductForm({"name": self.name, "price": self.price})
        if form.is_valid():
            self.state = self.State.IMPORTED
            return Product(**form.cleaned_data)
        self.state = self.State.REFUSED
        self.reason = " ".join(str(error) for errors in form.errors.values() for error in errors)[:200]
        return None
