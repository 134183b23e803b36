"""What beat starts; settings.py puts it into CELERY_BEAT_SCHEDULE."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from celery.schedules import crontab

BEAT_SCHEDULE: dict[str, dict[str, Any]] = {
    "clean-up-every-night": {"task": "shop.tasks.clean_up", "schedule": crontab(hour="3", minute="15")},
    # Each at a minute of its own: on the hour everything would begin at once.
    "count-sold-every-night": {"task": "shop.sales_tasks.count_all_sold", "schedule": crontab(hour="2", minute="40")},
    # Worthless once the next one is due.
    "resume-orders": {
        "task": "shop.upkeep_tasks.resume_orders",
        "schedule": timedelta(minutes=15),
        "options": {"expires": 14 * 60},
    },
}
