"""Where a broker that somebody else provides is, and a connection to it by TLS that says why there is none."""

from __future__ import annotations

import os
import select
import socket
import ssl
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ansible_collections.stalk.celery.plugins.module_utils.broker_url import BrokerUrl

SECONDS_TO_ANSWER = 10
SECONDS_TO_JUDGE = 5
# The package ca-certificates of Debian.
SYSTEM_CAS = Path("/etc/ssl/certs/ca-certificates.crt")

# OpenSSL's X509_V_ERR_… (docs.openssl.org, X509_STORE_CTX_get_error).
EXPIRED, WRONG_NAMES = 10, (62, 64)


class Unfit(Exception):
    """Why the broker cannot serve, and what to do."""

    def __init__(self, reason: str, remedy: str) -> None:
        self.reason, self.remedy = reason, remedy
        super().__init__(f"{reason}; {remedy}")


class Unreachable(Unfit):
    """It may be reached a moment later."""


@dataclass(frozen=True)
class Endpoint:
    """An address with what its server is trusted by and is shown, in PEM; no CA: those that the system trusts."""

    url: BrokerUrl
    ca: str = ""
    certificate: str = ""
    key: str = ""
    # What the machine is going to trust in addition.
    extra_ca: str = ""
    # The keys of the description by which both are named.
    keys: Mapping[str, str] = field(default_factory=dict)

    @contextmanager
    def connected(self) -> Iterator[socket.socket]:
        """Every error on the connection is an Unfit, for the time that it is open too."""
        context = self.context()
        try:
            plain = socket.create_connection((self.url.host, self.url.port), timeout=SECONDS_TO_ANSWER)
        except OSError as error:
            raise Unreachable(
                f"{self.url.address} cannot be reached ({said(error)})", "open the way to it, or correct the address"
            ) from None
        with plain:
            try:
                with context.wrap_socket(plain, server_hostname=self.url.host) as encrypted:
                    hear_verdict(encrypted)
                    yield encrypted
            except ssl.SSLCertVerificationError as error:
                raise self.distrusted(error) from None
            except (ssl.SSLEOFError, ConnectionError, TimeoutError) as error:
                raise Unreachable(
                    f"{self.url.address} ends the connection ({said(error)})", "see its log, and run again"
                ) from None
            except ssl.SSLError as error:
                raise self.rejected(error) from None

    def context(self) -> ssl.SSLContext:
        try:
            context = ssl.create_default_context(cadata=self.ca or None)
            if self.extra_ca and not self.ca:
                context.load_verify_locations(cadata=self.extra_ca)
        except (ssl.SSLError, ValueError):
            raise Unfit(f"{self.keys['ca']} holds no PEM certificate", "put the broker's CA there") from None
        if not (self.ca or self.extra_ca or SYSTEM_CAS.exists()):
            raise Unfit("this machine trusts no CA", f"name the broker's in {self.keys['ca']}")
        if self.certificate:
            try:
                with pem_file(self.certificate + "\n" + self.key) as pair:
                    context.load_cert_chain(pair)
            except (ssl.SSLError, ValueError):
                raise Unfit(
                    f"{self.keys['certificate']} is no certificate with its key, without a passphrase",
                    "put both there in PEM",
                ) from None
        return context

    def distrusted(self, error: ssl.SSLCertVerificationError) -> Unfit:
        if error.verify_code in WRONG_NAMES:
            return Unfit(
                f"the certificate of {self.url.address} is not for {self.url.host}",
                "use a name that it has in the address, or issue it again",
            )
        if error.verify_code == EXPIRED:
            return Unfit(f"the certificate of {self.url.address} has expired", "issue it again")
        trusted = "the CA that is named" if self.ca else "a CA that this machine trusts"
        return Unfit(
            f"the certificate of {self.url.address} is not signed by {trusted} ({error.verify_message})",
            f"name its CA in {self.keys['ca']}",
        )

    def rejected(self, error: ssl.SSLError) -> Unfit:
        alert = str(error.reason or error)
        if "ALERT" not in alert:
            return Unfit(f"{self.url.address} speaks no TLS ({alert})", "use the port that does")
        if self.certificate:
            return Unfit(
                f"{self.url.address} does not accept the client's certificate ({alert})",
                f"name one that it accepts in {self.keys['certificate']}",
            )
        return Unfit(
            f"{self.url.address} asks for a client's certificate ({alert})",
            f"name one with its key in {self.keys['certificate']}",
        )


def hear_verdict(encrypted: ssl.SSLSocket) -> None:
    """In TLS 1.3 a server looks at the client's certificate after the handshake, and then sends a ticket or an alert,
    which is lost when more is sent to it."""
    if encrypted.version() != "TLSv1.3" or not select.select([encrypted], [], [], SECONDS_TO_JUDGE)[0]:
        return
    encrypted.setblocking(False)
    try:
        encrypted.recv(1)
    except ssl.SSLWantReadError:
        pass
    finally:
        encrypted.settimeout(SECONDS_TO_ANSWER)


@contextmanager
def pem_file(text: str) -> Iterator[str]:
    """OpenSSL takes a key from a file alone; this one is in memory where there is such a place."""
    folder = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    with tempfile.NamedTemporaryFile("w", dir=folder, encoding="utf-8") as file:
        file.write(text)
        file.flush()
        yield file.name


def said(error: Any) -> str:
    return str(getattr(error, "strerror", None) or error or type(error).__name__)
