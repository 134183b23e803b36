"""Which folder of Redis takes the place of its data."""

from __future__ import annotations

from pathlib import Path

import pytest
from ansible_collections.stalk.celery.plugins.module_utils.redis_copy import (
    FOLDER,
    MANIFEST,
    RedisHere,
    is_mount_point,
)
from ansible_collections.stalk.celery.plugins.module_utils.sealed_stream import CommandFailed

MOMENT, OTHER = "20261201T090000Z", "20261201T100000Z"


@pytest.fixture
def redis(tmp_path: Path) -> RedisHere:
    redis = RedisHere("shop", "redis", tmp_path)
    for folder in (redis.data, redis.restored(MOMENT), redis.restored(OTHER)):
        (folder / FOLDER).mkdir(parents=True)
    (redis.restored(MOMENT) / FOLDER / MANIFEST).touch()
    return redis


def test_what_this_run_unpacked_to_its_end_takes_the_place(redis: RedisHere) -> None:
    aside = redis.take_place(MOMENT)
    assert aside == redis.data.with_name(f"shop-redis.left-{MOMENT}")
    assert aside.is_dir()
    assert (redis.data / FOLDER / MANIFEST).exists()


def test_what_is_not_whole_takes_no_place(redis: RedisHere) -> None:
    with pytest.raises(CommandFailed, match="is not there or not whole, as another restore is under way"):
        redis.take_place(OTHER)
    assert not (redis.data / FOLDER / MANIFEST).exists()


def test_a_mount_point_is_told_from_a_folder(tmp_path: Path) -> None:
    assert is_mount_point(Path("/proc"))
    assert not is_mount_point(tmp_path)
