"""A bucket that speaks S3, where backups are kept beside the volume."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from ansible_collections.stalk.celery.plugins.module_utils.backups import (
    MANIFEST,
    NAME,
    BackupRefused,
    draft_of,
    to_disk,
)

SECRET = Path("/etc/stalk/s3")
KEYS = {"aws_access_key_id": "AWS_ACCESS_KEY_ID", "aws_secret_access_key": "AWS_SECRET_ACCESS_KEY"}
CA = "ca.crt"


def boto3() -> Any:
    try:
        import boto3
    except ImportError:
        raise BackupRefused("boto3: is missing; add it to the image of the app") from None
    return boto3


@contextmanager
def in_one_line(url: str) -> Iterator[None]:
    from boto3.exceptions import Boto3Error
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        yield
    except (Boto3Error, BotoCoreError, ClientError) as error:
        raise BackupRefused(f"backup.kubernetes.s3.url: {url}: {' '.join(str(error).split())}; mend it") from None


def credentials() -> dict[str, str]:
    """None without a Secret: boto3 then takes those that the pod's account has."""
    try:
        return {argument: (SECRET / name).read_text().strip() for argument, name in KEYS.items() if SECRET.is_dir()}
    except FileNotFoundError as error:
        name = Path(error.filename).name
        raise BackupRefused(f"backup.kubernetes.s3.secret: names a Secret that lacks {name}; add it") from None


class ObjectStore:
    """Its keys are `[PREFIX/]BACKUP/FILE`; a backup that has no manifest is none."""

    def __init__(self, url: str, region: str) -> None:
        client = boto3().client
        from botocore.config import Config

        self.url = url
        parsed = urlsplit(url)
        self.bucket, _, prefix = parsed.path.strip("/").partition("/")
        self.prefix = f"{prefix}/" if prefix else ""
        # What came later than S3 itself, checksums in trailers and buckets as host names, not every store has.
        config = Config(
            s3={"addressing_style": "path"},
            retries={"mode": "standard", "total_max_attempts": 8},
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
        )
        with in_one_line(url):
            self.client = client(
                "s3",
                endpoint_url=f"{parsed.scheme}://{parsed.netloc}",
                region_name=region or None,
                verify=str(SECRET / CA) if (SECRET / CA).is_file() else None,
                config=config,
                **credentials(),
            )

    def key(self, name: str, file: str) -> str:
        return f"{self.prefix}{name}/{file}"

    def files(self, name: str = "") -> Iterator[tuple[str, str]]:
        """Backup and file of each object there, or of one backup."""
        listed = self.client.get_paginator("list_objects_v2")
        start = self.key(name, "") if name else self.prefix
        for page in listed.paginate(Bucket=self.bucket, Prefix=start):
            for found in page.get("Contents", ()):
                backup, _, file = found["Key"].removeprefix(self.prefix).partition("/")
                if NAME.fullmatch(backup) and file and "/" not in file:
                    yield backup, file

    def names(self) -> list[str]:
        """Of the backups there, oldest first."""
        with in_one_line(self.url):
            return sorted(name for name, file in self.files() if file == MANIFEST)

    def send(self, path: Path) -> None:
        """Its manifest last."""
        with in_one_line(self.url):
            for file in sorted(path.iterdir(), key=lambda file: file.name == MANIFEST):
                self.client.upload_file(str(file), self.bucket, self.key(path.name, file.name))

    def bring(self, name: str, folder: Path) -> None:
        """Into the folder of the volume, whole or not at all."""
        draft = draft_of(folder, name)
        shutil.rmtree(draft, ignore_errors=True)
        draft.mkdir(mode=0o750)
        with in_one_line(self.url):
            for _, file in self.files(name):
                self.client.download_file(self.bucket, self.key(name, file), str(draft / file))
        for entry in (*draft.iterdir(), draft):
            to_disk(entry)
        draft.rename(folder / name)
        to_disk(folder)

    def remove(self, name: str) -> None:
        """First it is no backup any more."""
        with in_one_line(self.url):
            for _, file in sorted(self.files(name), key=lambda found: found[1] != MANIFEST):
                self.client.delete_object(Bucket=self.bucket, Key=self.key(name, file))


def of_plan(plan: Mapping[str, Any]) -> ObjectStore | None:
    return ObjectStore(**plan["s3"]) if plan["s3"]["url"] else None
