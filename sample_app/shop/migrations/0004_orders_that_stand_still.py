from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("shop", "0003_imports")]

    operations = [
        migrations.AddField(
            model_name="order",
            name="resumed_at",
            field=models.DateTimeField(blank=True, help_text="When it was last found to stand still.", null=True),
        ),
        migrations.AlterField(
            model_name="order",
            name="state",
            field=models.CharField(
                choices=[
                    ("placed", "Placed"),
                    ("charged", "Charged"),
                    ("shipped", "Shipped"),
                    ("notified", "Notified"),
                    ("declined", "Declined"),
                ],
                default="placed",
                max_length=8,
            ),
        ),
    ]
