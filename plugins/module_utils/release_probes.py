"""Questions that a release's own Python answers, as the app's user and with the app's settings."""

VERIFY = r"""
import sys
from importlib import import_module

import django
from django.conf import settings
from django.core.management import CommandError, call_command

celery_name, scheduler_name = sys.argv[1:]


def refuse(reason):
    sys.exit("refused: " + reason)


if not any(name.partition(".")[0] == "celery_ops" for name in settings.INSTALLED_APPS):
    refuse("INSTALLED_APPS: lacks celery_ops, whose heartbeats the units wait for; copy sample_app/celery_ops of Stalk "
           "into the project and add it there (docs/contract.md)")
django.setup()
try:
    call_command("check")
except CommandError as error:
    sys.exit(str(error))

from celery.app.utils import find_app

from celery_ops.heartbeat import WorkerHeartbeat

try:
    app = find_app(celery_name)
except AttributeError as error:
    refuse("app.celery: " + celery_name + " holds no Celery application (" + str(error) + "); correct its name")
if WorkerHeartbeat not in app.steps["worker"]:
    refuse("app.celery: the workers of " + celery_name + " would write no heartbeat; call "
           "celery_ops.worker.install(app) where the app is made (docs/contract.md)")

if scheduler_name:
    from celery_ops.beat import LeasedScheduler

    module, _, name = scheduler_name.replace(":", ".").rpartition(".")
    try:
        scheduler = getattr(import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        refuse("beat.scheduler: " + scheduler_name + " cannot be imported (" + str(error) + "); correct its name")
    if not (isinstance(scheduler, type) and issubclass(scheduler, LeasedScheduler)):
        refuse("beat.scheduler: " + scheduler_name + " has neither the lease nor the heartbeat of "
               "celery_ops.beat:LeasedScheduler; use that or a subclass of it")
"""
"""Arguments: the Celery app, the scheduler or nothing. Refuses a project that the units could not run."""

APPLIED = r"""
import os
from pathlib import Path

import psycopg

url = os.environ.get("DATABASE_URL") or Path(os.environ["CREDENTIALS_DIRECTORY"], "DATABASE_URL").read_text().strip()
connection = psycopg.connect(url, connect_timeout=10)
cursor = connection.cursor()
cursor.execute("SELECT app, name FROM django_migrations ORDER BY app, name")
for row in cursor.fetchall():
    print(*row)
"""
"""Prints the migrations that the database says were applied; django.setup() would take ten times as long."""

# The settings say which apps there are; an older copy of celery_ops has no such module.
_APP = r"""
import json
import sys

import django

django.setup()
from celery.app.utils import find_app

app = find_app(sys.argv[1])
try:
    from celery_ops import {module}
except ImportError:
    print("null")
    sys.exit()
"""

MISFITS = _APP.format(module="signatures") + "print(json.dumps(signatures.told(app, json.loads(sys.argv[2]))))\n"
"""Arguments: the Celery app and queues in JSON. Tells what is queued and that this release cannot run."""

PARAMETERS = _APP.format(module="signatures") + "print(json.dumps(signatures.parameters(app)))\n"
"""Argument: the Celery app. Tells the parameters of its tasks."""

UNFINISHED = _APP.format(module="queued") + "print(json.dumps(queued.unfinished(app, json.loads(sys.argv[2]))))\n"
"""Arguments: the Celery app and queues in JSON. Sends what the broker lost of the outbox, and tells what is open."""
