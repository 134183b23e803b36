"""Which tasks are sent: most take no time, some take long, and some come later."""

LONG_EVERY, LONG_SECONDS = 50, 10
LATER_EVERY, LATER_SECONDS = 40, 15


def work_of(number: int) -> tuple[float, float | None]:
    """How long the task with this number works, and its countdown."""
    if number % LONG_EVERY == 1:
        return LONG_SECONDS, None
    return 0, LATER_SECONDS if number % LATER_EVERY == 2 else None
