from __future__ import annotations

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
