"""One JSON object a line, by python-json-logger."""

from __future__ import annotations

from pythonjsonlogger.core import RESERVED_ATTRS
from pythonjsonlogger.json import JsonFormatter

from celery_ops.logs import FIELDS, UNTOLD

NAMES = {"levelname": "level", "name": "logger", "processName": "process_name", "process": "pid"}


def formatter() -> JsonFormatter:
    return JsonFormatter(
        FIELDS.split(), rename_fields=NAMES, timestamp="time", reserved_attrs=[*RESERVED_ATTRS, *UNTOLD]
    )
