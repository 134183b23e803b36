"""An entry of the schedule in the database, which the admin edits; those of shop/schedule.py are written anew by each beat."""

import json

from django.db import migrations

NAME = "report-every-monday-in-berlin"


def schedule(apps, schema_editor):
    crontab, _ = apps.get_model("django_celery_beat", "CrontabSchedule").objects.get_or_create(
        minute="20", hour="8", day_of_week="1", timezone="Europe/Berlin"
    )
    apps.get_model("django_celery_beat", "PeriodicTask").objects.get_or_create(
        name=NAME,
        defaults={
            "task": "shop.report_tasks.start_report",
            "kwargs": json.dumps({"wanted": {"title": "Weekly sales"}}),
            "crontab": crontab,
        },
    )


def unschedule(apps, schema_editor):
    apps.get_model("django_celery_beat", "PeriodicTask").objects.filter(name=NAME).delete()


class Migration(migrations.Migration):
    dependencies = [
        ("shop", "0008_files_of_reports"),
        ("django_celery_beat", "0019_alter_periodictasks_options"),
    ]

    operations = [migrations.RunPython(schedule, unschedule)]
