from django.apps import AppConfig


class CeleryOpsConfig(AppConfig):
    name = "celery_ops"
    verbose_name = "Celery operations"
    default_auto_field = "django.db.models.BigAutoField"
