from django.urls import path

from shop import import_views, views

urlpatterns = [
    path("", views.index, name="index"),
    path("orders/", views.place_orders, name="place-orders"),
    path("orders.json", views.orders_json, name="orders-json"),
    path("reports/", views.start_report, name="start-report"),
    path("reports/<int:report_id>.json", views.report_json, name="report-json"),
    path("reports/<int:report_id>.pdf", views.report_pdf, name="report-pdf"),
    path("reports/<int:report_id>/cancel/", views.cancel_report, name="cancel-report"),
    path("imports/", import_views.imports_page, name="imports"),
    path("imports/<int:import_id>.json", import_views.import_json, name="import-json"),
    path("imports/<int:import_id>/live", import_views.import_live, name="import-live"),
    path("imports/<int:import_id>/cancel/", import_views.cancel_import, name="cancel-import"),
    path("imports/<int:import_id>/go-on/", import_views.go_on_with_import, name="go-on-with-import"),
]
