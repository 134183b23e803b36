"""A bucket that speaks S3, where backups are kept beside the volume."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import urlsplit

from ansible_collections.stalk.celery.plugins.module_utils.backups import (
    MANIFEST,
    NAME,
    BackupRefused,
    Manifest,
    broken,
    draft_of,
    put_in_place,
    read,
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
    except (Boto3Error, BotoCoreError, ClientError, ValueError) as error:
        said = " ".join(str(error).split()).rstrip(".")
        raise OSError(f"backup.kubernetes.s3: {url}: {said}; correct the url, or the Secret and its rights") from None


def credentials() -> dict[str, str]:
    """Of the Secret; without one boto3 takes those that the pod's account has."""
    if not SECRET.is_dir():
        return {}
    try:
        return {argument: (SECRET / name).read_text(encoding="utf-8").strip() for argument, name in KEYS.items()}
    except FileNotFoundError as error:
        name = Path(error.filename).name
        raise BackupRefused(f"backup.kubernetes.s3.secret: names a Secret that lacks {name}; add it") from None
    except UnicodeDecodeError:
        raise BackupRefused("backup.kubernetes.s3.secret: names a Secret whose keys are no text; mend it") from None


class ObjectStore:
    """Its keys are `[FOLDER/]BACKUP/FILE`; a backup that has no manifest is none. Raises OSError, in one line."""

    def __init__(self, url: str, region: str) -> None:
        client = boto3().client
        from botocore.config import Config

        self.url = url
        parsed = urlsplit(url)
        self.bucket, _, folder = parsed.path.strip("/").partition("/")
        self.prefix = f"{folder}/" if folder else ""
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

    def files(self) -> dict[str, set[str]]:
        """Of each name of a backup there, the files."""
        found: dict[str, set[str]] = {}
        with in_one_line(self.url):
            for page in self.client.get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=self.prefix):
                for key in (of["Key"].removeprefix(self.prefix) for of in page.get("Contents", ())):
                    name, _, file = key.partition("/")
                    if NAME.fullmatch(name) and file and "/" not in file:
                        found.setdefault(name, set()).add(file)
        return found

    def names(self) -> list[str]:
        """Of the backups there, oldest first."""
        return sorted(name for name, files in self.files().items() if MANIFEST in files)

    def download(self, name: str, file: str, folder: Path) -> None:
        with in_one_line(self.url):
            self.client.download_file(self.bucket, self.key(name, file), str(folder / file))

    def manifest(self, name: str) -> Manifest:
        with TemporaryDirectory() as folder:
            self.download(name, MANIFEST, Path(folder))
            return read(Path(folder))

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
        self.download(name, MANIFEST, draft)
        manifest = read(draft)
        for part in manifest.parts.values():
            self.download(name, Path(part.file).name, draft)
        if problems := list(broken(draft, manifest)):
            raise BackupRefused("\n".join(problems))
        put_in_place(folder, name)

    def remove(self, name: str, files: set[str]) -> None:
        """First it is no backup any more."""
        with in_one_line(self.url):
            for file in sorted(files, key=lambda file: file != MANIFEST):
                self.client.delete_object(Bucket=self.bucket, Key=self.key(name, file))


def of_plan(plan: Mapping[str, Any]) -> ObjectStore | None:
    return ObjectStore(**plan["s3"]) if plan["s3"]["url"] else None
