from django.urls import path

from shop import views

urlpatterns = [
    path("", views.index, name="index"),
    path("orders/", views.place_orders, name="place-orders"),
    path("orders.json", views.orders_json, name="orders-json"),
    path("reports/", views.start_report, name="start-report"),
    path("reports/<int:report_id>.json", views.report_json, name="report-json"),
]
