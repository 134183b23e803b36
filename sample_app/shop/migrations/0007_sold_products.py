from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("shop", "0006_price_changes")]

    operations = [
        migrations.AddField(
            model_name="product",
            name="sold",
            field=models.PositiveIntegerField(
                db_default=0, default=0, editable=False, help_text="As counted last night."
            ),
        ),
    ]
