from __future__ import annotations

from decimal import Decimal

from django import forms

MOST_AT_ONCE = 1000


class OrderForm(forms.Form):
    count = forms.IntegerField(
        label="Number of orders",
        min_value=1,
        max_value=MOST_AT_ONCE,
        initial=100,
        help_text=f"1 to {MOST_AT_ONCE}. Each is charged, shipped and notified by workers.",
        error_messages={
            "required": "Say how many orders to place.",
            "invalid": "Write a whole number, such as 100.",
            "min_value": "Place at least 1 order.",
            "max_value": f"Place at most {MOST_AT_ONCE} orders at once.",
        },
    )


class ProductForm(forms.Form):
    """One row of an import; its messages are the reasons why a row is refused."""

    name = forms.CharField(
        max_length=80,
        error_messages={"required": "The name is missing.", "max_length": "The name is longer than 80 characters."},
    )
    price = forms.DecimalField(
        min_value=Decimal("0.01"),
        max_digits=8,
        decimal_places=2,
        error_messages={
            "required": "The price is missing.",
            "invalid": "The price is no number, such as 9.50.",
            "min_value": "The price is below 0.01.",
            "max_digits": "The price is above 999999.99.",
            "max_whole_digits": "The price is above 999999.99.",
            "max_decimal_places": "The price has more than two decimals.",
        },
    )


class ImportForm(forms.Form):
    file = forms.FileField(
        label="CSV file of products",
        help_text="Two columns, name and price, with these words in the first line. UTF-8, up to 5 MB and 50000 rows.",
        widget=forms.FileInput(attrs={"accept": ".csv,text/csv"}),
        error_messages={"required": "Choose a file.", "empty": "The file is empty."},
    )
