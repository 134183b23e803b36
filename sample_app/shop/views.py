from __future__ import annotations

import uuid

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_POST

from shop import orders, reports
from shop.forms import OrderForm
from shop.models import Notice, Order, Report, ReportFile

RECENT = 10
NOTICES = 5


@require_GET
@never_cache
def index(request: HttpRequest) -> HttpResponse:
    return shop_page(request, OrderForm())


def place_orders(request: HttpRequest) -> HttpResponse:
    if request.method != "POST":
        return redirect("index")
    form = OrderForm(request.POST)
    if not form.is_valid():
        return shop_page(request, form, status=400)
    try:
        batch = orders.place_orders(form.cleaned_data["count"])
    except orders.NothingToSell:
        form.add_error("count", "The catalogue is empty. Import products first.")
        return shop_page(request, form, status=400)
    return redirect(f"{reverse('index')}?batch={batch}")


@require_GET
@never_cache
def orders_json(request: HttpRequest) -> JsonResponse:
    batch = uuid_or_none(request.GET.get("batch", ""))
    if batch is None:
        return JsonResponse({"error": "batch: not a UUID; place orders to get one"}, status=400)
    progress = orders.progress_of(batch)
    if progress is None:
        return JsonResponse({"error": "batch: no orders with this id"}, status=404)
    recent = [{"id": order.pk, "state": order.state, "label": order.get_state_display()} for order in recent_orders()]
    return JsonResponse(progress | {"orders": recent})


def start_report(request: HttpRequest) -> HttpResponse:
    if request.method == "POST":
        reports.request_report()
    return redirect(f"{reverse('index')}#report")


@require_GET
@never_cache
def report_json(request: HttpRequest, report_id: int) -> JsonResponse:
    return JsonResponse(reports.progress_of(get_object_or_404(Report, pk=report_id)))


@require_POST
def cancel_report(request: HttpRequest, report_id: int) -> HttpResponse:
    reports.cancel(get_object_or_404(Report, pk=report_id))
    return redirect(f"{reverse('index')}#report")


@require_GET
def report_pdf(request: HttpRequest, report_id: int) -> HttpResponse:
    file = get_object_or_404(ReportFile, report=report_id)
    headers = {"Content-Disposition": f'attachment; filename="sales-report-{report_id}.pdf"'}
    return HttpResponse(bytes(file.content), content_type="application/pdf", headers=headers)


def shop_page(request: HttpRequest, form: OrderForm, status: int = 200) -> HttpResponse:
    asked_for = request.GET.get("batch", "")
    batch = uuid_or_none(asked_for) if asked_for else orders.newest_batch()
    report = Report.objects.first()
    context = {
        "form": form,
        "progress": orders.progress_of(batch) if batch else None,
        "unknown_batch": asked_for,
        "orders": recent_orders(),
        "notices": Notice.objects.all()[:NOTICES] if request.user.is_staff else [],
        "report": reports.progress_of(report) if report else None,
    }
    return render(request, "shop/index.html", context, status=status)


def recent_orders() -> list[Order]:
    return list(Order.objects.all()[:RECENT])


def uuid_or_none(text: str) -> uuid.UUID | None:
    try:
        return uuid.UUID(text)
    except ValueError:
        return None
