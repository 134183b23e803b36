"""The module of Celery's page "First Steps with Celery", with a task that does nothing."""

from celery import Celery

app = Celery("tasks", broker="redis://localhost:6390/0", backend="redis://localhost:6390/0")


@app.task(name="tasks.noop")
def noop() -> None:
    """Does nothing."""
