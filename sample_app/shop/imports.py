"""Starting an import of products, cancelling it, and how far it has come."""

from __future__ import annotations

from typing import Any

from celery import chord, current_app, group
from django.db import IntegrityError, transaction
from django.db.models import Count, QuerySet

from celery_ops.followers import canvas_on_commit
from celery_ops.models import OutboxMessage
from shop.cancelling import revoke_on_commit
from shop.import_tasks import finish_import, import_rows
from shop.models import ImportRow, ProductImport
from shop.product_file import lines_of

ROWS_OF_A_TASK = 1000
REFUSALS_SHOWN = 50

State = ProductImport.State
RowState = ImportRow.State


class AnotherIsRunning(Exception):
    """There is one import at a time."""


@transaction.atomic
def start(file_name: str, content: bytes) -> ProductImport:
    """Stores the rows and asks for their import, both or neither. Raises FileRefused or AnotherIsRunning."""
    lines = lines_of(content)
    try:
        with transaction.atomic():
            started = ProductImport.objects.create(file_name=file_name[-100:])
    except IntegrityError:
        raise AnotherIsRunning from None
    ImportRow.objects.bulk_create(
        (
            ImportRow(
                product_import=started,
                line=line.number,
                name=line.name,
                price=line.price,
                state=RowState.REFUSED if line.refusal else RowState.WAITING,
                reason=line.refusal,
            )
            for line in lines
        ),
        batch_size=1000,
    )
    publish(started)
    return started


def publish(product_import: ProductImport) -> None:
    """All rows that wait, many to a task, side by side, and the end after the last.

    A chord is counted in the result store, which may lose the count or be none: the part that finds no row waiting any
    more ends the import too.
    """
    waiting = product_import.rows.filter(state=RowState.WAITING)
    lines = list(waiting.order_by("line").values_list("line", flat=True))
    chunks = [lines[start : start + ROWS_OF_A_TASK] for start in range(0, len(lines), ROWS_OF_A_TASK)]
    parts = [import_rows.si(product_import.pk, chunk[0], chunk[-1]) for chunk in chunks]
    if not parts:
        finish_import.delay_on_commit(product_import.pk)
    elif current_app.conf.task_ignore_result:
        canvas_on_commit(group(parts))
    else:
        canvas_on_commit(chord(parts, finish_import.si(product_import.pk)))


@transaction.atomic
def go_on(product_import: ProductImport) -> None:
    """Where it stopped: its tasks failed, or hit their time limit."""
    locked = ProductImport.objects.select_for_update().get(pk=product_import.pk)
    if locked.state == State.RUNNING and not is_at_work(locked):
        publish(locked)


@transaction.atomic
def cancel(product_import: ProductImport) -> None:
    """Ends it between two slices. What is imported stays: to undo it would undo what others changed since.

    The state in the database is what stops it; the revocation spares workers the messages that wait.
    """
    if ProductImport.objects.end(product_import.pk, State.CANCELLED):
        revoke_on_commit(open_messages(product_import))


def open_messages(product_import: ProductImport) -> QuerySet[OutboxMessage]:
    names = [import_rows.name, finish_import.name]
    return OutboxMessage.objects.filter(task__in=names, args__0=product_import.pk, acknowledged_at=None)


def is_at_work(product_import: ProductImport) -> bool:
    return product_import.state == State.RUNNING and open_messages(product_import).exists()


def progress_of(product_import: ProductImport) -> dict[str, Any]:
    moving = is_at_work(product_import)
    if product_import.state == State.RUNNING and not moving:
        # It may have got done since it was read.
        product_import.refresh_from_db()
    counts = dict(product_import.rows.values_list("state").annotate(Count("pk")).order_by("state"))
    imported, refused = counts.get(RowState.IMPORTED, 0), counts.get(RowState.REFUSED, 0)
    total, done = sum(counts.values()), imported + refused
    is_stopped = product_import.state == State.RUNNING and not moving
    refusals = product_import.rows.filter(state=RowState.REFUSED)[:REFUSALS_SHOWN]
    return {
        "id": product_import.pk,
        "state": "stopped" if is_stopped else product_import.state,
        "moving": moving,
        "total": total,
        "done": done,
        "refused": refused,
        "summary": summary_of(product_import, is_stopped, f"{done} of {total} rows"),
        "outcome": f"{imported} imported, {refused} refused",
        "refusals": [
            {"line": row.line, "name": row.name[:80], "price": row.price[:20], "reason": row.reason} for row in refusals
        ],
    }


def summary_of(product_import: ProductImport, is_stopped: bool, rows: str) -> str:
    match product_import.state:
        case State.CANCELLED:
            return f"Cancelled after {rows}. What is imported stays."
        case State.DONE:
            return f"Done: {rows}"
    return f"Stopped at {rows}. Go on, or cancel it." if is_stopped else f"Importing: {rows}"
