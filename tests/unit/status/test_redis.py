"""What `status` and the end of a broker are told of Redis."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.stalk.celery.plugins.modules.component_status import lists


class WithoutEnd:
    """Whose keys go on for longer than anyone asks."""

    def call(self, *_: Any) -> list[Any]:
        return ["1", []]


def test_a_count_that_was_broken_off_is_none() -> None:
    with pytest.raises(LookupError, match="more than 100000 keys"):
        lists(WithoutEnd(), "shop:")  # type: ignore[arg-type]
