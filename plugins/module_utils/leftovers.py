"""What each component has on a host, and what of it is left where the component no longer belongs."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from ansible_collections.stalk.celery.plugins.module_utils.managed_files import Folder, remove, surplus
from ansible_collections.stalk.celery.plugins.module_utils.services import (
    Systemd,
    departed_files,
    departed_units,
    unit_files,
)
from ansible_collections.stalk.celery.plugins.module_utils.status.questions import BROKERS

PROCESSES = ("web", "worker", "beat", "flower")
DATABASES = ("postgresql",)
SHARED = "shared"
"""What belongs to whatever runs here; it goes with the last component."""
SYSTEM = "etc/systemd/system"
SYSTEM_CAS = "usr/local/share/ca-certificates"
SCRIPTS_OF_RABBITMQ = (
    "hand-over-rabbitmq",
    "join-rabbitmq",
    "leave-rabbitmq",
    "rabbitmqctl",
    "rabbitmq-diagnostics",
    "rabbitmq-queues",
    "rabbitmq-upgrade",
)
SCRIPTS_OF_REDIS = ("hand-over-redis", "hand-over-sentinel", "newest-primary", "await-primary", "leave-primary")
SCRIPTS = ("in-release", "stop-celery", "move_messages.py")


def mark(app: str) -> str:
    """What every host has that the app ever ran on."""
    return f"etc/{app}/pki/ca.crt"


def signs(app: str) -> tuple[str, ...]:
    """What only files that Stalk wrote for this app say."""
    return (
        f"/usr/local/lib/{app}/",
        f"/run/{app}-web/",
        f"/etc/{app}/",
        f"{app}: every process of the stack",
        f"Written by Stalk for {app}.",
    )


@dataclass(frozen=True)
class Belongings:
    """Patterns below /. What a drop-in of ours makes ours is named beside it: the unit, by where the drop-in lies, and
    `borrowed` and `rewritten`, files where the distribution has its own."""

    units: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    drop_ins: tuple[str, ...] = ()
    borrowed: tuple[str, ...] = ()
    rewritten: Mapping[str, str] = field(default_factory=dict)


def belongings(app: str) -> dict[str, Belongings]:
    """Of every component. A broker ends only where somebody saw that it has nothing any more."""
    etc, scripts = f"etc/{app}", f"usr/local/lib/{app}"

    def files(name: str, *more: str) -> tuple[str, ...]:
        return (f"{etc}/{name}.env", f"{etc}/credentials/{name}/*", f"{etc}/pki/{name}.*", *more)

    def of_broker(name: str) -> tuple[str, ...]:
        password = f"{etc}/credentials/status/{name.upper()}_PASSWORD_status"
        return (f"{etc}/{name}/*", f"{etc}/{name}/conf.d/*", password, f"{etc}/credentials/left/{name}")

    return {
        "web": Belongings(
            (f"{app}-web.service", f"{app}-web.socket"),
            files("web", f"{etc}/pki/site.pem", f"{scripts}/check-nginx"),
            drop_ins=(f"{SYSTEM}/nginx.service.d/{app}.conf",),
            borrowed=("etc/nginx/nginx.conf",),
        ),
        "worker": Belongings((f"{app}-worker@*.service",), files("worker", f"{SYSTEM}/*.target.d/{app}.conf")),
        "beat": Belongings((f"{app}-beat.service",), files("beat")),
        "flower": Belongings((f"{app}-flower.service",), files("flower", f"{etc}/flower.py", f"{etc}/flower.json")),
        "postgresql": Belongings(
            files=files("postgresql", f"{etc}/postgresql/*"),
            drop_ins=(f"{SYSTEM}/postgresql@*-main.service.d/stalk.conf",),
            borrowed=("etc/postgresql/*/main/conf.d/stalk.conf",),
            # Debian starts every cluster that is `auto` with the host.
            rewritten={"etc/postgresql/*/main/start.conf": "manual\n"},
        ),
        "redis": Belongings(
            (f"{app}-redis.service", f"{app}-sentinel.service"),
            files(
                "redis",
                *of_broker("redis"),
                *(f"{scripts}/{name}" for name in SCRIPTS_OF_REDIS),
                f"run/{app}-redis-operator",
                # What it learned is of nodes that are no more.
                f"var/lib/{app}-sentinel/*",
            ),
        ),
        "rabbitmq": Belongings(
            (f"{app}-rabbitmq.service",),
            files(
                "rabbitmq",
                *of_broker("rabbitmq"),
                *(f"{scripts}/{name}" for name in SCRIPTS_OF_RABBITMQ),
                f"{etc}/rabbitmq/join.d/*",
                f"{etc}/credentials/operator/*",
                f"{etc}/pki/operator.*",
                f"run/{app}-rabbitmq.env",
            ),
        ),
        SHARED: Belongings(
            (f"{app}.target",),
            # The mark of a host of ours goes last, so that an interrupted end goes on.
            (*(f"{scripts}/{name}" for name in SCRIPTS), f"{SYSTEM_CAS}/{app}.crt", *staged(app), mark(app)),
        ),
    }


def staged(app: str) -> tuple[str, ...]:
    """Of a release that is not the current one yet environment and credentials, and what leads back from one."""
    before = (f"etc/{app}/before/{name}" for name in ("release", "environment/*", "units/*", "units/*/*"))
    return (f"etc/{app}/next/*.env", f"etc/{app}/next/credentials/*/*", *before)


@dataclass(frozen=True)
class Kept:
    """What stays on a host; `data` says whether a database may end now, `emptied` (component to kind) which brokers."""

    app: str
    components: Collection[str]
    credentials: Mapping[str, Collection[str]]
    extra_ca: bool
    data: bool
    emptied: Mapping[str, str] = field(default_factory=dict)


class Leftovers:
    def __init__(self, kept: Kept, systemd: Systemd, root: Path = Path("/")) -> None:
        self.kept = kept
        self.systemd = systemd
        self.root = root
        self.belongings = belongings(kept.app)

    @property
    def has_run_here(self) -> bool:
        return (self.root / mark(self.kept.app)).exists()

    def unit_of(self, path: Path) -> str:
        """The unit that a file of systemd defines or adds to."""
        return path.relative_to(self.root / SYSTEM).parts[0].removesuffix(".d")

    def is_ours(self, path: Path) -> bool:
        text = path.read_text(errors="replace")
        return any(sign in text for sign in signs(self.kept.app))

    def has_own_definition(self, unit: str) -> bool:
        """False for a unit that somebody else gave one of our names."""
        paths = [path for path in unit_files(unit, self.root / SYSTEM) if path.is_file()]
        return any(self.is_ours(path) for path in paths)

    def waiting(self) -> list[str]:
        """Databases that end once nothing on any host needs them any more."""
        here = [name for name in DATABASES if name not in self.kept.components and self.drop_ins(name)]
        return [] if self.kept.data else here

    def departed(self) -> list[str]:
        """Processes first, and what all share last, when nothing stays."""
        if not self.has_run_here:
            return []
        gone = [name for name in (*PROCESSES, *DATABASES) if name not in self.kept.components]
        gone = [name for name in gone if self.kept.data or name not in DATABASES]
        ended = [name for name in self.kept.emptied if name not in self.kept.components]
        gone += ended
        staying = [name for name in BROKERS if name not in ended]
        broker = any((self.root / SYSTEM / f"{self.kept.app}-{name}.service").exists() for name in staying)
        return gone if self.kept.components or broker or self.waiting() else [*gone, SHARED]

    def units(self, components: Iterable[str]) -> list[str]:
        """Units of those components, as far as they are ours."""
        patterns = [pattern for name in components for pattern in self.belongings[name].units]
        own = [
            unit for unit in departed_units(patterns, [], self.systemd.known(patterns)) if self.has_own_definition(unit)
        ]
        borrowed = [self.unit_of(path) for name in components for path in self.drop_ins(name)]
        return sorted({*own, *borrowed})

    def drop_ins(self, component: str) -> list[Path]:
        """None where what it borrows has become another's."""
        if not all(self.is_ours(path) for path in self._found(self.belongings[component].borrowed)):
            return []
        return [path for path in self._found(self.belongings[component].drop_ins) if self.is_ours(path)]

    def files(self, components: Collection[str]) -> list[Path]:
        """Files of those components; a drop-in, the sign that a unit of others is ours, comes last."""
        found: list[Path] = []
        for name in components:
            component, drop_ins = self.belongings[name], self.drop_ins(name)
            found += self._definitions(component.units)
            found += self._found([*component.files, *(component.borrowed if drop_ins else ())])
            found += drop_ins
        if set(BROKERS) & set(components) and not set(BROKERS) & set(self.kept.components):
            found += self._found([f"etc/{self.kept.app}/pki/status.*"])
        return found

    def _definitions(self, patterns: Sequence[str]) -> list[Path]:
        """Drop-ins first: the unit's own file tells whose they are."""
        paths = self._found(f"{SYSTEM}/{path}" for path in departed_files(patterns))
        own = [path for path in paths if self.has_own_definition(self.unit_of(path))]
        return sorted(own, key=lambda path: path.parent == self.root / SYSTEM)

    def surplus(self) -> list[Path]:
        """Credentials that components which stay no longer read, and a CA that is no longer extra."""
        if not self.has_run_here:
            return []
        found = [] if self.kept.extra_ca else self._found([f"{SYSTEM_CAS}/{self.kept.app}.crt"])
        for name in sorted(set(self.kept.components) & set(PROCESSES)):
            folder = self.root / "etc" / self.kept.app / "credentials" / name
            unread = surplus(Folder(folder, dict.fromkeys(self.kept.credentials[name], ""), exactly=("*",)))
            loaded = self._text_of_units(name)
            found += [path for path in unread if f"/{path.relative_to(self.root)}" not in loaded]
        return found

    def _text_of_units(self, component: str) -> str:
        """A unit that was left out of this run may still load what left the description."""
        paths = self._found(f"{SYSTEM}/{unit}" for unit in self.belongings[component].units)
        return "".join(path.read_text(errors="replace") for path in paths)

    def data(self, components: Iterable[str]) -> list[Path]:
        """Of brokers, which nobody may need any more and nobody removes: another one begins without them."""
        kinds = [self.kept.emptied[name] for name in components if name in BROKERS]
        folders = [self.root / f"var/lib/{self.kept.app}-{kind}" for kind in kinds]
        return [folder for folder in folders if folder.exists()]

    def end(self, components: Iterable[str], units: list[str], files: list[Path], now: datetime) -> None:
        """Stops the units in the time that their own definition gives them, sets a broker's data aside, then removes
        what the units needed."""
        if units:
            self.systemd.call("systemctl", "stop", "--", *units)
            self.systemd.call("systemctl", "disable", "--quiet", "--", *units)
        for folder in self.data(components):
            folder.rename(f"{folder}.left-{now:%Y%m%dT%H%M%SZ}")
        for path, content in self._rewritten(components).items():
            path.write_text(content)
        for path in files:
            remove(path, self._top(path))
        if any(path.is_relative_to(self.root / SYSTEM) for path in files):
            self.systemd.call("systemctl", "daemon-reload")
        if units:
            self.systemd.call("systemctl", "reset-failed", "--", *units, check=False)
        if any(path.is_relative_to(self.root / SYSTEM_CAS) for path in files):
            self.systemd.call("update-ca-certificates")

    def _rewritten(self, components: Iterable[str]) -> dict[Path, str]:
        return {
            path: content
            for name in components
            if self.drop_ins(name)
            for pattern, content in self.belongings[name].rewritten.items()
            for path in self._found([pattern])
        }

    def _found(self, patterns: Iterable[str]) -> list[Path]:
        found = {path for pattern in patterns for path in self.root.glob(pattern)}
        return sorted(path for path in found if path.is_symlink() or not path.is_dir())

    def _top(self, path: Path) -> Path:
        """The folder that stays even if nothing else is in it."""
        own = {
            f"etc/{self.kept.app}": "etc",
            f"usr/local/lib/{self.kept.app}": "usr/local/lib",
            f"var/lib/{self.kept.app}-sentinel": "var/lib",
            SYSTEM: SYSTEM,
        }
        tops = [top for folder, top in own.items() if path.is_relative_to(self.root / folder)]
        return self.root / tops[0] if tops else path.parent
