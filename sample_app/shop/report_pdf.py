"""A sales report on paper."""

from __future__ import annotations

from io import BytesIO

from reportlab.lib.pagesizes import A4
from reportlab.lib.units import mm
from reportlab.pdfgen.canvas import Canvas

from shop.models import Report

WIDTH, HEIGHT = A4
MARGIN = 20 * mm
LINE = 7 * mm
COLUMNS = (MARGIN, WIDTH - MARGIN - 40 * mm, WIDTH - MARGIN)
LONGEST_NAME = 60


def pdf_of(report: Report) -> bytes:
    file = BytesIO()
    canvas = Canvas(file, pagesize=A4)
    canvas.setTitle(str(report))
    canvas.setFont("Helvetica-Bold", 16)
    canvas.drawString(MARGIN, HEIGHT - MARGIN, str(report))
    draw_line(canvas, height := HEIGHT - MARGIN - 2 * LINE, "Helvetica-Bold", "Tea", "Orders", "Revenue")
    for item, line in sorted(report.sales.items()):
        height -= LINE
        if height < MARGIN:
            canvas.showPage()
            height = HEIGHT - MARGIN
        draw_line(canvas, height, "Helvetica", item[:LONGEST_NAME], str(line["orders"]), f"€ {line['revenue']}")
    canvas.save()
    return file.getvalue()


def draw_line(canvas: Canvas, height: float, font: str, item: str, orders: str, revenue: str) -> None:
    canvas.setFont(font, 10)
    canvas.drawString(COLUMNS[0], height, item)
    canvas.drawRightString(COLUMNS[1], height, orders)
    canvas.drawRightString(COLUMNS[2], height, revenue)
