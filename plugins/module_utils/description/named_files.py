"""Refuses files on the control node that a description names and that cannot serve."""

from __future__ import annotations

import ssl
import stat
from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path as File
from typing import Any

from ansible_collections.stalk.celery.plugins.module_utils.certificates.authority import load_authority
from ansible_collections.stalk.celery.plugins.module_utils.certificates.refusal import CertificateRefusal
from ansible_collections.stalk.celery.plugins.module_utils.description.problems import Path, Problem, dotted, listed
from ansible_collections.stalk.celery.plugins.module_utils.description.sources import SAMPLE_APP
from ansible_collections.stalk.celery.plugins.module_utils.description.surroundings import Surroundings
from ansible_collections.stalk.celery.plugins.module_utils.project_source import missing_files
from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key

CA: Path = ("tls", "servers", "ca")
WEB: Path = ("web", "servers")
BROKER: Path = ("broker", "servers")


def file_problems(values: Mapping[str, Any], surroundings: Surroundings) -> Iterator[Problem]:
    yield from authority_problems(values["tls"], surroundings)
    yield from web_problems(values["web"], surroundings.now)
    yield from trust_problems(("servers", "extra_ca"), values["servers"]["extra_ca"])
    yield from broker_problems(values)
    yield from source_problems(values["app"])


def unreadable(path: Path, name: str) -> Iterator[Problem]:
    try:
        if not stat.S_ISREG(File(name).stat().st_mode):
            yield Problem(path, f"{name} is no file", "name a PEM file")
        else:
            with File(name).open("rb") as opened:
                opened.read(1)
    except FileNotFoundError:
        yield Problem(path, f"{name} does not exist", "correct the path; it is relative to the file that names it")
    except OSError as error:
        yield Problem(path, f"{name} cannot be read ({error.strerror})", "correct the path, or its owner and mode")


def pair_problems(path: Path, pair: Mapping[str, str]) -> list[Problem]:
    """Of a certificate and its key: one named without the other, or a file that cannot be read."""
    found: list[Problem] = []
    for key, other in (("certificate", "key"), ("key", "certificate")):
        if pair[key]:
            found += unreadable((*path, key), pair[key])
        elif pair[other]:
            found.append(
                Problem((*path, key), f"is empty, and {dotted((*path, other))} is not", "name both or neither")
            )
    return found


def authority_problems(tls: Mapping[str, Any], surroundings: Surroundings) -> Iterator[Problem]:
    pair = tls["servers"]["ca"]
    issuer: Path = ("tls", "issuer")
    if tls["issuer"] != "provided":
        if pair["certificate"] or pair["key"]:
            yield Problem(
                issuer,
                f"is {tls['issuer']}, and tls.servers.ca names a CA that would not be used",
                "set it to provided, or remove tls.servers.ca",
                (CA,),
            )
        return
    if not pair["certificate"] and not pair["key"]:
        yield Problem(
            issuer,
            "is provided, and tls.servers.ca names no CA",
            "name its PEM files in tls.servers.ca.certificate and tls.servers.ca.key, or set it to stalk",
            (CA,),
        )
        return
    found = pair_problems(CA, pair)
    yield from found
    if found:
        return

    def passphrase() -> str:
        given = surroundings.secrets.get("PKI_CA_PASSPHRASE")
        if given is None:
            raise CertificateRefusal(
                pair["key"], "is encrypted", "give its passphrase as PKI_CA_PASSPHRASE in stalk_secrets (ansible-vault)"
            )
        return given

    try:
        load_authority(File(pair["certificate"]), File(pair["key"]), passphrase, surroundings.now).signing_key()
    except CertificateRefusal as refusal:
        reason, _, remedy = str(refusal).rpartition("; ")
        at_fault = "key" if reason.startswith(f"{pair['key']}:") else "certificate"
        yield Problem((*CA, at_fault), reason.replace(": ", " ", 1), remedy)


def web_problems(web: Mapping[str, Any], now: datetime) -> Iterator[Problem]:
    pair = web["servers"]
    if not web["enabled"] or not (pair["certificate"] or pair["key"]):
        return
    found = pair_problems(WEB, pair)
    yield from found
    if found:
        return
    at, key_at = (*WEB, "certificate"), (*WEB, "key")
    name, key_name = pair["certificate"], pair["key"]
    certificate = None
    try:
        certificate = x509.load_pem_x509_certificates(File(name).read_bytes())[0]
    except ValueError:
        yield Problem(at, f"{name} holds no PEM certificate", "put the server's certificate there, then its issuers")
    if certificate:
        yield from serving_problems(at, name, certificate, web["host"], now)
    try:
        key = load_pem_private_key(File(key_name).read_bytes(), None)
    except TypeError:
        yield Problem(key_at, f"{key_name} is encrypted, and nginx could not start", "remove its passphrase")
    except ValueError:
        yield Problem(key_at, f"{key_name} holds no PEM private key", "put the certificate's key there")
    else:
        if certificate and key.public_key() != certificate.public_key():
            yield Problem(
                key_at, f"{key_name} is not the key of {name}", "name the key that belongs to the certificate"
            )


def serving_problems(
    path: Path, name: str, certificate: x509.Certificate, host: str, now: datetime
) -> Iterator[Problem]:
    start, end = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    if not start <= now < end:
        yield Problem(path, f"{name} is valid from {start:%Y-%m-%d} to {end:%Y-%m-%d} only", "put a valid one there")
    names = names_of(certificate)
    if not any(covers(each, host) for each in names):
        yield Problem(
            path,
            f"{name} is for {listed(names[:5])}, not for web.host {host}",
            "use a certificate with that name, or correct web.host",
            (("web", "host"),),
        )


def names_of(certificate: x509.Certificate) -> list[str]:
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return []
    return [*names.get_values_for_type(x509.DNSName), *map(str, names.get_values_for_type(x509.IPAddress))]


def covers(name: str, host: str) -> bool:
    if name.startswith("*."):
        return host.partition(".")[2].lower() == name[2:].lower()
    return name.lower() == host.lower()


def broker_problems(values: Mapping[str, Any]) -> Iterator[Problem]:
    """What an external broker and an external store of results are trusted by and shown."""
    for part in ("broker", "results"):
        if values[part]["kind"] == "external":
            yield from trust_problems((part, "servers", "ca"), values[part]["servers"]["ca"])
    pair = values["broker"]["servers"]
    if values["broker"]["kind"] != "external" or not (pair["certificate"] or pair["key"]):
        return
    found = pair_problems(BROKER, pair)
    yield from found
    if not found:
        yield from client_problems(pair["certificate"], pair["key"])


def client_problems(certificate: str, key: str) -> Iterator[Problem]:
    def passphrase() -> str:
        raise ValueError

    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_cert_chain(certificate, key, passphrase)
    except (ssl.SSLError, ValueError):
        yield Problem(
            (*BROKER, "certificate"),
            f"{certificate} is no PEM certificate of the key {key}, without a passphrase",
            "name a certificate and its key",
        )


def trust_problems(path: Path, name: str) -> Iterator[Problem]:
    if not name:
        return
    found = list(unreadable(path, name))
    yield from found
    if found:
        return
    try:
        # Not by `x509`, which warns of each flaw in the many certificates of a system's bundle.
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cafile=name)
    except ssl.SSLError:
        yield Problem(path, f"{name} holds no PEM certificate", "put the CA's certificate there")


def source_problems(app: Mapping[str, Any]) -> Iterator[Problem]:
    source, path = app["servers"]["source"], ("app", "servers", "source")
    folder = File(source)
    try:
        if not stat.S_ISDIR(folder.stat().st_mode):
            raise FileNotFoundError
        absent = missing_files(folder)
    except (FileNotFoundError, NotADirectoryError):
        yield Problem(
            path, f"{source} is no folder", "name the folder of the Django project, relative to the file that names it"
        )
        return
    except OSError as error:
        yield Problem(path, f"{source} cannot be read ({error.strerror})", "correct the path, or its owner and mode")
        return
    if absent and folder != SAMPLE_APP:
        yield Problem(
            path, f"{source} has no {' and no '.join(absent)}", "name the folder that holds the project's manage.py"
        )
        return
    for key in ("settings", "celery", "wsgi"):
        module = app[key].partition(":")[0]
        if not has_module(folder, module):
            file = module.replace(".", "/")
            yield Problem(("app", key), f"{source} has no {file}.py", "correct the module's name", (path,))


def has_module(source: File, module: str) -> bool:
    """Whether the source has the module; of a package that is not in the source nothing is known."""
    first, *rest = module.split(".")
    if not (source / first).is_dir():
        return True
    place = (source / first).joinpath(*rest)
    return place.with_name(f"{place.name}.py").is_file() or place.is_dir()
