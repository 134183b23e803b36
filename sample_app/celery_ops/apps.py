from importlib import import_module

from celery import _state
from django.apps import AppConfig


class CeleryOpsConfig(AppConfig):
    name = "celery_ops"
    verbose_name = "Celery operations"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """A project with a Celery app of its own has imported it by now, with its settings."""
        if _state.default_app is None:
            import_module("celery_ops.celery")
