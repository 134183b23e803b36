"""Refuses variables that Stalk sets itself and secrets that nobody gave."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import parse_qs, urlsplit

from ansible_collections.stalk.celery.plugins.module_utils.description.clear_text import environments
from ansible_collections.stalk.celery.plugins.module_utils.description.problems import Path, Problem
from ansible_collections.stalk.celery.plugins.module_utils.description.surroundings import Surroundings
from ansible_collections.stalk.celery.plugins.module_utils.secrets_store import is_generated

# docs/contract.md: what Stalk sets, and the key of the description that a user means by it.
SET_BY_STALK = {
    "DJANGO_SETTINGS_MODULE": "app.settings",
    "DJANGO_ALLOWED_HOSTS": "web.host",
    "DJANGO_CSRF_TRUSTED_ORIGINS": "web.host",
    "DJANGO_STATIC_ROOT": "",
    "DJANGO_SECRET_KEY": "",
    "DATABASE_URL": "database.kind",
    "CELERY_BROKER_URL": "broker",
    "CELERY_RESULT_BACKEND": "results.kind",
    "CELERY_TLS_CA": "tls",
    "CELERY_TLS_CERT": "tls",
    "CELERY_TLS_KEY": "tls",
    "CELERY_KEY_PREFIX": "app.name",
    "CELERY_VISIBILITY_TIMEOUT": "broker.visibility_timeout",
    "CELERY_UNACKED_KEY": "",
    "CELERY_RESULT_EXPIRES": "results.expires",
    "CELERY_TASK_DEFAULT_QUEUE": "app.default_queue",
    "CELERY_TASK_ROUTES": "app.routes",
    "CELERY_HEARTBEAT_FILE": "",
    "CELERY_BEAT_LEASE_TTL": "beat.lease.ttl",
    "CELERY_BEAT_HOLDER": "",
    "CELERY_WORKER_ARGUMENTS": "pools",
    "CREDENTIALS_DIRECTORY": "",
    "PGSSLMODE": "database.kind",
    "PGSSLROOTCERT": "database.kind",
    "PGSSLCERT": "database.kind",
    "PGSSLKEY": "database.kind",
}
# libpq's own, which are the user's when the database is.
LIBPQ = tuple(name for name in SET_BY_STALK if name.startswith("PGSSL"))
ENCRYPTED = ("verify-full", "verify-ca", "require")
USERS = re.compile(r"\s*(#.*|[!-9;-~]+:[!-~]+)?\s*")
OAUTH_LINES = ("oauth2_key", "oauth2_secret")
ADDRESS = r"[A-Za-z0-9.!#%&'+/=?_{}~-]+@[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)+"
# flower 2.2.0, utils/authentication.py: whole addresses between `|`, or one `.*` before the `@`. No regex.
EMAILS = re.compile(rf"{ADDRESS}(\|{ADDRESS})*|[A-Za-z0-9._+-]*\.\*[A-Za-z0-9._+-]*@[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)+")


def variable_problems(values: Mapping[str, Any], surroundings: Surroundings) -> Iterator[Problem]:
    yield from name_problems(values)
    yield from secret_problems(values, surroundings)
    if values["database"]["kind"] == "external":
        yield from database_problems(values, surroundings)
    if values["flower"]["enabled"]:
        yield from flower_problems(values["flower"]["auth"], surroundings)


def name_problems(values: Mapping[str, Any]) -> Iterator[Problem]:
    secrets = values["app"]["secrets"]
    external = values["database"]["kind"] == "external"
    for path, environment in environments(values):
        for name in environment:
            if name == "REMAP_SIGTERM":
                yield Problem(
                    (*path, name),
                    "makes a worker drop its tasks at SIGTERM instead of finishing them",
                    "remove it; how long a stop waits is the pool's grace",
                )
            elif name in SET_BY_STALK and not (external and name in LIBPQ):
                key = SET_BY_STALK[name]
                yield Problem(
                    (*path, name),
                    "Stalk sets this variable itself",
                    f"remove it{f'; the key is {key}' if key else ''}",
                    (("database", "kind"),) if name in LIBPQ else (),
                )
            elif name in secrets:
                yield Problem(
                    (*path, name), "is named in app.secrets too", "remove one of the two", (("app", "secrets"),)
                )
    for index, name in enumerate(secrets):
        yield from foreign_secret(("app", "secrets", index), name, values)


def foreign_secret(path: Path, name: str, values: Mapping[str, Any]) -> Iterator[Problem]:
    """A secret that the app gets from Stalk anyway, or must not get."""
    kind: Path = ("database", "kind")
    external = values["database"]["kind"] == "external"
    flower: Path = ("flower", "auth", "secret")
    if name == "DJANGO_SECRET_KEY" or (name == "DATABASE_URL" and external):
        return
    if name == "DATABASE_URL":
        reason, remedy = "Stalk makes the database's address itself", "remove it, or set database.kind to external"
        yield Problem(path, f"{name}: {reason}", remedy, (kind,))
    elif external and name in LIBPQ:
        yield Problem(path, f"{name}: libpq reads it as a variable only", "move it to app.env", (kind,))
    elif name in SET_BY_STALK:
        yield Problem(path, f"{name}: Stalk sets it itself", "remove it", (kind,) if name in LIBPQ else ())
    elif is_generated(name, values["flower"]["auth"]["secret"]):
        yield Problem(path, f"{name}: is not the app's, and all its processes could read it", "remove it", (flower,))


def missing(name: str, surroundings: Surroundings) -> bool:
    return name not in surroundings.secrets and not is_generated(name, users="")


GIVE = "add {} to stalk_secrets (ansible-vault), or put it into the file secrets/{} of stalk_state"


def secret_problems(values: Mapping[str, Any], surroundings: Surroundings) -> Iterator[Problem]:
    own = (*SET_BY_STALK, values["flower"]["auth"]["secret"])
    for index, name in enumerate(values["app"]["secrets"]):
        if name not in own and missing(name, surroundings):
            yield Problem(
                ("app", "secrets", index), f"the secret {name} is nowhere to be found", GIVE.format(name, name)
            )


def database_problems(values: Mapping[str, Any], surroundings: Surroundings) -> Iterator[Problem]:
    """libpq takes the sslmode of the address before that of PGSSLMODE, and plain text when nothing forbids it."""
    environment = values["app"]["env"]
    for path, variables in environments(values):
        if "PGSSLMODE" in variables and variables["PGSSLMODE"] not in ENCRYPTED:
            yield Problem(
                (*path, "PGSSLMODE"),
                "does not keep the connection to the database from being in plain text",
                f"write one of {', '.join(ENCRYPTED)}",
                (("database", "kind"),),
            )
    if ("PGSSLCERT" in environment) != ("PGSSLKEY" in environment):
        there, absent = ("PGSSLCERT", "PGSSLKEY") if "PGSSLCERT" in environment else ("PGSSLKEY", "PGSSLCERT")
        yield Problem(
            ("app", "env", there),
            f"is without {absent}, and a certificate needs its key",
            "write both or neither",
            (("database", "kind"), ("app", "env", absent)),
        )
    url = surroundings.secrets.get("DATABASE_URL")
    if url is None:
        yield Problem(
            ("database", "kind"),
            "is external, and the secret DATABASE_URL is nowhere to be found",
            GIVE.format("DATABASE_URL", "DATABASE_URL"),
        )
    elif not re.match(r"postgres(ql)?://[^\s/]+/[^\s/?]+", url):
        yield Problem(
            ("database", "kind"),
            "is external, and the secret DATABASE_URL is no address of a PostgreSQL database",
            "write it as postgresql://USER:PASSWORD@HOST:5432/DATABASE?sslmode=verify-full",
        )
    else:
        stated = parse_qs(urlsplit(url).query).get("sslmode", [])
        if stated and stated[-1] not in ENCRYPTED:
            yield Problem(
                ("database", "kind"),
                "is external, and the sslmode in the secret DATABASE_URL lets the connection be in plain text",
                f"write one of {', '.join(ENCRYPTED)} there",
            )
        elif not stated and "PGSSLMODE" not in environment:
            yield Problem(
                ("database", "kind"),
                "is external, and nothing keeps its connection from being in plain text",
                "end the secret DATABASE_URL with ?sslmode=verify-full, or write PGSSLMODE: verify-full into app.env",
                (("app", "env"),),
            )


def flower_problems(auth: Mapping[str, Any], surroundings: Surroundings) -> Iterator[Problem]:
    path, name = ("flower", "auth", "secret"), auth["secret"]
    kind: tuple[str, ...] = ("flower", "auth", "kind")
    content = surroundings.secrets.get(name)
    if is_generated(name, users=""):
        yield Problem(path, f"{name} is a secret for something else", "name one of its own, such as flower-users")
        return
    if auth["kind"] == "basic":
        for number, line in enumerate((content or "").splitlines(), 1):
            if not USERS.fullmatch(line):
                yield Problem(
                    path,
                    f"line {number} of the secret {name} is not user:password in ASCII",
                    "correct it in the secret",
                    (kind,),
                )
        return
    absent = [key for key in OAUTH_LINES if not re.search(rf"^{key}=\S+$", content or "", re.MULTILINE)]
    if content is None:
        yield Problem(
            path, f"the secret {name} is nowhere to be found, and oauth needs it", GIVE.format(name, name), (kind,)
        )
    elif absent:
        yield Problem(
            path,
            f"the secret {name} has no line {absent[0]}=…, which oauth needs",
            "write the lines oauth2_key=… and oauth2_secret=… into it",
            (kind,),
        )
    emails = auth["emails"]
    if not emails:
        yield Problem(
            ("flower", "auth", "emails"),
            "is empty, and with oauth everybody with an account could enter",
            "write the addresses that may, as a@example.org|b@example.org or .*@example.org",
            (kind,),
        )
    elif not EMAILS.fullmatch(emails):
        yield Problem(
            ("flower", "auth", "emails"),
            "is neither addresses nor all of one domain; Flower compares whole addresses and reads no other pattern",
            "write it as a@example.org|b@example.org or .*@example.org",
            (kind,),
        )
