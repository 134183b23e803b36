from decimal import Decimal

import django.core.validators
from django.db import migrations, models

TEAS = {
    "Darjeeling, 100 g": "14.90",
    "Sencha, 100 g": "9.50",
    "Earl Grey, 250 g": "12.80",
    "Rooibos, 250 g": "8.40",
    "Oolong, 50 g": "16.20",
}


def sell_teas(apps, schema_editor):
    apps.get_model("shop", "Product").objects.bulk_create(
        apps.get_model("shop", "Product")(name=name, price=Decimal(price)) for name, price in TEAS.items()
    )


class Migration(migrations.Migration):
    dependencies = [("shop", "0001_initial")]

    operations = [
        migrations.CreateModel(
            name="Product",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("name", models.CharField(max_length=80, unique=True)),
                (
                    "price",
                    models.DecimalField(
                        decimal_places=2,
                        max_digits=8,
                        validators=[django.core.validators.MinValueValidator(Decimal("0.01"))],
                    ),
                ),
            ],
            options={
                "ordering": ("pk",),
            },
        ),
        migrations.RunPython(sell_teas, migrations.RunPython.noop),
    ]
