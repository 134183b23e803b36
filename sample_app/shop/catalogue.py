"""What the shop sells."""

from __future__ import annotations

from decimal import Decimal
from typing import NamedTuple


class Product(NamedTuple):
    name: str
    price: Decimal


CATALOGUE = (
    Product("Darjeeling, 100 g", Decimal("14.90")),
    Product("Sencha, 100 g", Decimal("9.50")),
    Product("Earl Grey, 250 g", Decimal("12.80")),
    Product("Rooibos, 250 g", Decimal("8.40")),
    Product("Oolong, 50 g", Decimal("16.20")),
)
