"""What of a component is left on a host where it no longer belongs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

import pytest
from ansible_collections.stalk.celery.plugins.module_utils.leftovers import Kept, Leftovers
from ansible_collections.stalk.celery.plugins.module_utils.services import Systemd

ALL = ("redis", "postgresql", "web", "worker", "beat", "flower")
SECRETS = {name: ["DATABASE_URL"] for name in ("web", "worker", "beat", "flower")}
SYSTEM = "etc/systemd/system"
FILES = {
    f"{SYSTEM}/shop.target": "Description=shop: every process of the stack on this host",
    f"{SYSTEM}/shop-redis.service": "ExecStartPre=+/usr/local/lib/shop/hand-over-redis shop",
    f"{SYSTEM}/shop-web.service": "ExecStart=/usr/local/lib/shop/in-release gunicorn",
    f"{SYSTEM}/shop-web.socket": "ListenStream=/run/shop-web/gunicorn.sock",
    f"{SYSTEM}/shop-worker@.service": "ExecStart=/usr/local/lib/shop/in-release celery",
    f"{SYSTEM}/shop-worker@high.service.d/pool.conf": "",
    f"{SYSTEM}/reboot.target.d/shop.conf": "",
    f"{SYSTEM}/nginx.service.d/shop.conf": "ExecStartPre=+/usr/local/lib/shop/check-nginx",
    f"{SYSTEM}/postgresql@15-main.service.d/stalk.conf": "ExecReload=install /etc/shop/pki/postgresql.key",
    "etc/nginx/nginx.conf": "# Written by Stalk for shop. Additions go elsewhere.",
    "etc/postgresql/15/main/conf.d/stalk.conf": "hba_file = '/etc/shop/postgresql/pg_hba.conf'",
    "etc/postgresql/15/main/start.conf": "auto\n",
    "etc/shop/web.env": "",
    "etc/shop/worker.env": "",
    "etc/shop/credentials/web/DATABASE_URL": "",
    "etc/shop/credentials/worker/DATABASE_URL": "",
    "etc/shop/credentials/redis/users.acl": "",
    "etc/shop/pki/ca.crt": "",
    "etc/shop/pki/redis.key": "",
    "etc/shop/pki/web.key": "",
    "etc/shop/pki/site.pem": "",
    "etc/shop/pki/worker.key": "",
    "etc/shop/pki/postgresql.key": "",
    "etc/shop/postgresql/pg_hba.conf": "",
    "usr/local/lib/shop/hand-over-redis": "",
    "usr/local/lib/shop/in-release": "",
    "usr/local/lib/shop/check-nginx": "",
    "usr/local/share/ca-certificates/shop.crt": "",
}


class Host(Systemd):
    """Where these units are loaded; notes what is called."""

    def __init__(self, *units: str) -> None:
        self.loaded = units
        self.called: list[str] = []

    def known(self, patterns: Sequence[str]) -> list[str]:
        return list(self.loaded)

    def call(self, *arguments: str, check: bool = True) -> str:
        self.called.append(" ".join(argument for argument in arguments if argument not in ("--", "--quiet")))
        return ""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for name, content in FILES.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    return tmp_path


NOW = datetime(2026, 11, 29, 8, tzinfo=UTC)


def end(
    root: Path, *components: str, data: bool = False, extra_ca: bool = True, emptied: Mapping[str, str] | None = None
) -> tuple[Leftovers, list[str]]:
    """Ends everything but these components; what is gone, and the host."""
    host = Host(
        "shop-redis.service", "shop-web.service", "shop-web.socket", "shop-worker@high.service", "shop-worker@.service"
    )
    leftovers = Leftovers(Kept("shop", components, SECRETS, extra_ca, data, emptied or {}), host, root)
    departed = leftovers.departed()
    files = [*leftovers.files(departed), *leftovers.surplus()]
    leftovers.end(departed, leftovers.units(departed), files, NOW)
    return leftovers, sorted(name for name in FILES if not (root / name).exists())


def called(leftovers: Leftovers) -> list[str]:
    assert isinstance(leftovers.systemd, Host)
    return leftovers.systemd.called


def test_where_everything_stays_nothing_changes(root: Path) -> None:
    leftovers, gone = end(root, *ALL)
    assert (gone, called(leftovers), leftovers.waiting()) == ([], [], [])


def test_a_host_that_leaves_web_keeps_neither_the_site_s_key_nor_nginx(root: Path) -> None:
    leftovers, gone = end(root, *(set(ALL) - {"web"}))
    assert gone == sorted(
        [name for name in FILES if "web" in name]
        + [f"{SYSTEM}/nginx.service.d/shop.conf", "etc/nginx/nginx.conf", "etc/shop/pki/site.pem"]
        + ["usr/local/lib/shop/check-nginx"]
    )
    assert called(leftovers)[:2] == [f"systemctl {verb} nginx.service shop-web.service shop-web.socket"
                                     for verb in ("stop", "disable")]  # fmt: skip
    assert (root / "etc/shop/worker.env").exists()
    assert not (root / "etc/shop/credentials/web").exists()


def test_nginx_of_others_is_left_alone(root: Path) -> None:
    (root / SYSTEM / "nginx.service.d/shop.conf").unlink()
    leftovers, gone = end(root, "worker")
    assert "etc/nginx/nginx.conf" not in gone
    assert not [line for line in called(leftovers) if "nginx" in line]


def test_a_database_ends_only_when_asked_and_its_folder_stays(root: Path) -> None:
    leftovers, gone = end(root, "redis", "web", "worker")
    assert leftovers.waiting() == ["postgresql"]
    assert gone == []
    leftovers, gone = end(root, "redis", "web", "worker", data=True)
    assert called(leftovers)[0] == "systemctl stop postgresql@15-main.service"
    assert gone == sorted(name for name in FILES if "postgresql" in name and not name.endswith("start.conf"))
    assert (root / "etc/postgresql/15/main/conf.d").is_dir()
    assert (root / "etc/postgresql/15/main/start.conf").read_text() == "manual\n"
    assert leftovers.waiting() == []


def test_the_cluster_of_another_app_is_left_alone(root: Path) -> None:
    (root / SYSTEM / "postgresql@15-main.service.d/stalk.conf").write_text("/etc/other/pki/postgresql.key")
    leftovers, _ = end(root, "redis", data=True)
    assert "postgresql@15-main" not in called(leftovers)[0]


def test_redis_does_not_end_until_it_was_seen_empty_and_keeps_what_it_needs(root: Path) -> None:
    _, gone = end(root, data=True)
    assert not [name for name in gone if "redis" in name]
    assert "etc/shop/pki/ca.crt" not in gone


def test_redis_that_is_empty_leaves_and_its_data_are_set_aside(root: Path) -> None:
    (root / "var/lib/shop-redis").mkdir(parents=True)
    (root / "etc/shop/pki/status.key").write_text("")
    _, gone = end(root, *(set(ALL) - {"redis"}), emptied={"redis": "redis"})
    assert gone == sorted(name for name in FILES if "redis" in name)
    assert [folder.name for folder in (root / "var/lib").iterdir()] == ["shop-redis.left-20261129T080000Z"]
    assert not (root / "etc/shop/pki/status.key").exists()
    assert (root / "etc/shop/worker.env").exists()


def test_what_both_brokers_need_stays_with_the_other(root: Path) -> None:
    (root / "etc/shop/pki/status.key").write_text("")
    end(root, *(set(ALL) - {"redis"}), "rabbitmq", emptied={"redis": "redis"})
    assert (root / "etc/shop/pki/status.key").exists()


def test_a_host_of_no_group_keeps_nothing(root: Path) -> None:
    for name in [name for name in FILES if "redis" in name]:
        (root / name).unlink()
    (root / "etc/shop/credentials/redis").rmdir()
    _, gone = end(root, data=True)
    assert sorted(set(FILES) - set(gone)) == ["etc/postgresql/15/main/start.conf"]
    assert not (root / "etc/shop").exists()
    assert not (root / "usr/local/lib/shop").exists()


def test_a_host_of_no_group_keeps_what_its_database_needs_until_that_ends(root: Path) -> None:
    _, gone = end(root)
    assert "etc/shop/pki/ca.crt" not in gone
    assert "etc/shop/pki/worker.key" in gone


@pytest.mark.parametrize("stays", [(), ("worker",)])
def test_what_others_named_alike_is_left_alone(root: Path, stays: tuple[str, ...]) -> None:
    web = root / SYSTEM / "shop-web.service"
    web.write_text("ExecStart=/opt/old/gunicorn")
    library = root / "usr/local/lib/shop/libpayment.so"
    library.touch()
    leftovers, _ = end(root, *stays, data=True)
    assert web.exists()
    assert library.exists()
    assert "shop-web.service" not in " ".join(called(leftovers)[:2])


def test_a_host_that_the_app_never_ran_on_is_left_alone(root: Path) -> None:
    (root / "etc/shop/pki/ca.crt").unlink()
    leftovers, gone = end(root, data=True, extra_ca=False)
    assert (gone, called(leftovers)) == (["etc/shop/pki/ca.crt"], [])


def test_nginx_that_serves_another_app_by_now_is_left_alone(root: Path) -> None:
    (root / "etc/nginx/nginx.conf").write_text("# Written by Stalk for books. Additions go elsewhere.")
    leftovers, gone = end(root, *(set(ALL) - {"web"}))
    assert not [name for name in gone if "nginx" in name and "check-nginx" not in name]
    assert "nginx.service" not in called(leftovers)[0]


def test_a_secret_that_an_installed_unit_still_loads_stays(root: Path) -> None:
    old = root / "etc/shop/credentials/worker/OLD"
    old.touch()
    unit = root / SYSTEM / "shop-worker@.service"
    unit.write_text(unit.read_text() + "\nLoadCredential=OLD:/etc/shop/credentials/worker/OLD")
    end(root, *ALL)
    assert old.exists()


def test_a_secret_that_left_the_description_goes(root: Path) -> None:
    (root / "etc/shop/credentials/worker/OLD").touch()
    end(root, *ALL)
    assert [path.name for path in (root / "etc/shop/credentials/worker").iterdir()] == ["DATABASE_URL"]


def test_an_extra_ca_that_left_the_description_is_no_longer_trusted(root: Path) -> None:
    leftovers, gone = end(root, *ALL, extra_ca=False)
    assert gone == ["usr/local/share/ca-certificates/shop.crt"]
    assert called(leftovers) == ["update-ca-certificates"]


def test_a_strange_host_is_not_asked_and_not_changed(tmp_path: Path) -> None:
    (tmp_path / "etc/nginx").mkdir(parents=True)
    (tmp_path / "etc/nginx/nginx.conf").touch()
    leftovers = Leftovers(Kept("shop", [], SECRETS, False, True), Host(), tmp_path)
    assert (leftovers.files(leftovers.departed()), leftovers.surplus()) == ([], [])
