from django.contrib import admin
from django.urls import include, path

urlpatterns = [
    path("", include("celery_ops.urls")),
    path("admin/", admin.site.urls),
    path("", include("shop.urls")),
]
