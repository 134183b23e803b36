"""Django's settings, from the environment alone (docs/contract.md); safe for production unless DJANGO_DEBUG=1."""

from pathlib import Path

from celery_ops import database_settings, environment, logs
from celery_ops import settings as contract
from celery_ops.settings import *
from shop.schedule import BEAT_SCHEDULE

BASE_DIR = Path(__file__).resolve().parent.parent

DEBUG = environment.flag("DJANGO_DEBUG")
SECRET_KEY = environment.required_secret("DJANGO_SECRET_KEY", "set it to 50 random characters")
ALLOWED_HOSTS = environment.names("DJANGO_ALLOWED_HOSTS")
CSRF_TRUSTED_ORIGINS = environment.names("DJANGO_CSRF_TRUSTED_ORIGINS")

INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django_celery_beat",
    "django_celery_results",
    "celery_ops",
    "shop",
]

MIDDLEWARE = [
    "celery_ops.correlation.CorrelationMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]

ROOT_URLCONF = "config.urls"
WSGI_APPLICATION = "config.wsgi.application"

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    },
]

DATABASES = {"default": database_settings.postgresql()}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in (
        "UserAttributeSimilarityValidator",
        "MinimumLengthValidator",
        "CommonPasswordValidator",
        "NumericPasswordValidator",
    )
]

LANGUAGE_CODE = "en-us"
TIME_ZONE = "UTC"
USE_TZ = True

STATIC_URL = "/static/"
STATIC_ROOT = environment.text("DJANGO_STATIC_ROOT", str(BASE_DIR / "static"))

# gunicorn listens on a socket that only nginx reaches, and nginx sets the header itself.
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
SECURE_SSL_REDIRECT = not DEBUG
SECURE_REDIRECT_EXEMPT = [r"^healthz$", r"^readyz$"]
SECURE_HSTS_SECONDS = 0 if DEBUG else 31536000
SECURE_HSTS_INCLUDE_SUBDOMAINS = not DEBUG
SECURE_HSTS_PRELOAD = not DEBUG
SESSION_COOKIE_SECURE = not DEBUG
CSRF_COOKIE_SECURE = not DEBUG

LOGGING = logs.logging_settings()

CELERY_BEAT_SCHEDULE = BEAT_SCHEDULE
# Beside `tasks`, which Celery looks for in each app.
CELERY_IMPORTS = [f"shop.{name}_tasks" for name in ("import", "notice", "price", "report", "sales", "upkeep")]

# The description's routes first, then what takes a function.
CELERY_TASK_ROUTES = [contract.CELERY_TASK_ROUTES, "shop.routing.by_import"]
# Queues among which imports are divided; they want to be in `app.queues` and in pools.
SHOP_IMPORT_QUEUES = environment.names("SHOP_IMPORT_QUEUES")

# Where each order is posted to once it shipped; empty: nowhere.
SHOP_WEBHOOK_URL = environment.secret("SHOP_WEBHOOK_URL")
# Where each order's payment is asked for; empty: nowhere, and each counts as paid.
SHOP_PAYMENT_URL = environment.secret("SHOP_PAYMENT_URL")
# A report is over in a blink; this stretches it so that its progress bar can be watched.
SHOP_REPORT_SECONDS = environment.seconds("SHOP_REPORT_SECONDS", 5, least=0)
SHOP_KEEP_DAYS = environment.seconds("SHOP_KEEP_DAYS", 90)
