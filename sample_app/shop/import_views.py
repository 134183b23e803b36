from __future__ import annotations

from django.contrib.auth.decorators import permission_required
from django.http import HttpRequest, HttpResponse, JsonResponse, StreamingHttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_POST

from shop import imports
from shop.forms import ImportForm
from shop.live import stream_of
from shop.models import Product, ProductImport
from shop.product_file import FileRefused

PRODUCTS_SHOWN = 20

for_who_imports = permission_required("shop.add_productimport", login_url="admin:login")


@for_who_imports
@never_cache
def imports_page(request: HttpRequest) -> HttpResponse:
    if request.method != "POST":
        return page(request, ImportForm())
    form = ImportForm(request.POST, request.FILES)
    if form.is_valid():
        file = form.cleaned_data["file"]
        try:
            imports.start(file.name, file.read())
        except FileRefused as refusal:
            form.add_error("file", str(refusal))
        except imports.AnotherIsRunning:
            form.add_error("file", "Another import has not ended. Wait for it, or cancel it.")
        else:
            return redirect("imports")
    return page(request, form, status=400)


@for_who_imports
@require_POST
def cancel_import(request: HttpRequest, import_id: int) -> HttpResponse:
    imports.cancel(get_object_or_404(ProductImport, pk=import_id))
    return redirect("imports")


@for_who_imports
@require_POST
def go_on_with_import(request: HttpRequest, import_id: int) -> HttpResponse:
    imports.go_on(get_object_or_404(ProductImport, pk=import_id))
    return redirect("imports")


@for_who_imports
@require_GET
@never_cache
def import_json(request: HttpRequest, import_id: int) -> JsonResponse:
    return JsonResponse(imports.progress_of(get_object_or_404(ProductImport, pk=import_id)))


@for_who_imports
@require_GET
def import_live(request: HttpRequest, import_id: int) -> StreamingHttpResponse:
    get_object_or_404(ProductImport, pk=import_id)
    return stream_of(lambda: imports.progress_of(ProductImport.objects.get(pk=import_id)))


def page(request: HttpRequest, form: ImportForm, status: int = 200) -> HttpResponse:
    newest = ProductImport.objects.first()
    context = {
        "form": form,
        "newest": newest,
        "progress": imports.progress_of(newest) if newest else None,
        "products": Product.objects.all()[:PRODUCTS_SHOWN],
        "product_count": Product.objects.count(),
    }
    return render(request, "shop/imports.html", context, status=status)
