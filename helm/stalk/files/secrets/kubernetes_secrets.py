"""The Secrets of a namespace, read from its API server and written there."""

from __future__ import annotations

import base64
import http.client
import json
import os
import ssl
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any

ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
OPAQUE = "Opaque"
SECONDS = 20

Data = dict[str, str]


class Refused(Exception):
    """One line: what, why, and what to do."""


class MayPass(Refused):
    """Another run may find it otherwise, although nobody did anything."""


class Cluster:
    """Secrets of one namespace, by the API server."""

    def __init__(self, url: str, token: str, namespace: str, context: ssl.SSLContext | None) -> None:
        self.namespace_url = f"{url}/api/v1/namespaces/{namespace}"
        self.url = f"{self.namespace_url}/secrets"
        self.token = token
        self.context = context

    @classmethod
    def of_this_pod(cls) -> Cluster:
        host, port = os.environ["KUBERNETES_SERVICE_HOST"], os.environ["KUBERNETES_SERVICE_PORT"]
        context = ssl.create_default_context(cafile=str(ACCOUNT / "ca.crt"))
        # Python 3.13 wants extensions that the certificates of many clusters lack (kubernetes-client/python 2394).
        context.verify_flags &= ~ssl.VERIFY_X509_STRICT
        return cls(
            f"https://{f'[{host}]' if ':' in host else host}:{port}",
            (ACCOUNT / "token").read_text().strip(),
            (ACCOUNT / "namespace").read_text().strip(),
            context,
        )

    def read(self, name: str) -> dict[str, Any] | None:
        return self.ask("GET", f"{self.url}/{name}", None, absent=404)

    def create(self, secret: dict[str, Any]) -> None:
        self.ask("POST", self.url, secret)

    def replace(self, secret: dict[str, Any]) -> None:
        """Refused by the API server when the Secret changed since it was read."""
        self.ask("PUT", f"{self.url}/{secret['metadata']['name']}", secret)

    def ask(self, method: str, url: str, body: Mapping[str, Any] | None, absent: int = 0) -> dict[str, Any] | None:
        request = urllib.request.Request(
            url,
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Authorization": f"Bearer {self.token}", "Content-Type": "application/json"},
        )
        try:
            with urllib.request.urlopen(request, timeout=SECONDS, context=self.context) as answer:
                found: dict[str, Any] = json.load(answer)
                return found
        except urllib.error.HTTPError as error:
            if error.code == absent:
                return None
            said = f"{method} {url}: the API server answers {error.code} {reason_of(error)}"
            # The account of a hook is gone with the hook.
            if error.code == 401:
                raise Refused(f"{said}, as when Helm has given up; give it a longer --timeout") from None
            raise MayPass(said) from None
        except OSError as error:
            raise MayPass(f"{method} {url}: the API server cannot be reached ({error}); run again") from None
        except (http.client.HTTPException, ValueError) as error:
            raise MayPass(f"{method} {url}: the API server's answer is cut off ({error}); run again") from None


def reason_of(error: urllib.error.HTTPError) -> str:
    try:
        return str(json.load(error)["message"])
    except (ValueError, KeyError, OSError, http.client.HTTPException):
        return str(error.reason)


class Store:
    """The Secrets, each read once, written when something changed."""

    def __init__(self, cluster: Cluster, labels: Mapping[str, str]) -> None:
        self.cluster = cluster
        self.labels = dict(labels)
        self.read: dict[str, dict[str, Any] | None] = {}

    def data(self, name: str) -> Data:
        if name not in self.read:
            self.read[name] = self.cluster.read(name)
        found = (self.read[name] or {}).get("data") or {}
        try:
            return {key: base64.b64decode(value).decode() for key, value in found.items()}
        except UnicodeDecodeError:
            raise Refused(f"Secret {name}: holds something that is not UTF-8 text; write it again as text") from None

    def exists(self, name: str) -> bool:
        self.data(name)
        return self.read[name] is not None

    def write(self, name: str, data: Data, kind: str = OPAQUE) -> bool:
        """Whether it had to be."""
        if self.exists(name) and self.data(name) == data:
            return False
        encoded = {key: base64.b64encode(value.encode()).decode() for key, value in sorted(data.items())}
        found = self.read[name]
        if found:
            self.cluster.replace({**found, "data": encoded})
        else:
            metadata = {"name": name, "labels": self.labels}
            self.cluster.create(
                {"apiVersion": "v1", "kind": "Secret", "type": kind, "metadata": metadata, "data": encoded}
            )
        print(f"Secret {name}: {'changed' if found else 'made'}", flush=True)
        del self.read[name]
        return True
