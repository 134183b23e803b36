"""How long `site.yml` takes on a fresh server, with nothing to do and with one pool changed."""

from __future__ import annotations

import hashlib
import subprocess
import time
from statistics import median

from bench import server
from bench.report import BUILD, ROOT, Figure, Table
from bench.server import BenchFailed, inside, play, run

SITE = "playbooks/site.yml"
ONE_POOL = (*server.DESCRIPTION, "bench/inventory/one_pool.yml")
CHANGED_UNIT = "shop-worker@reports.service"
ROUNDS = 3
COLD_AIM = 1.5
NO_CHANGE_AIM = 15
ONE_POOL_AIM = 20

WARM_IMAGE = "stalk-bench-server:warm"
WHEELS = "/var/cache/wheels"
CACHES = ("var/cache/apt/archives", WHEELS.lstrip("/"), "etc/pip.conf")
FLOOR_PREFIX = "floor-"
FLOOR_HOST = FLOOR_PREFIX + server.HOST
FLOOR_FILES = BUILD / "floor.tar"
WRITTEN = (
    "/etc/shop",
    "/etc/systemd/system",
    "/etc/nginx/nginx.conf",
    "/etc/nginx/conf.d",
    "/etc/nginx/sites-enabled",
    "/etc/postgresql",
    "/usr/local/lib/shop",
    "/usr/local/share/ca-certificates",
    "/srv/shop",
)


def requirements_digest() -> str:
    return hashlib.sha256((ROOT / "sample_app" / "requirements.txt").read_bytes()).hexdigest()[:12]


def ensure_warm_image() -> None:
    """The base image with the package caches that one run of `site.yml` leaves behind, and nothing else of it."""
    label = "stalk.requirements"
    known = run(
        ["docker", "image", "inspect", "--format", f'{{{{index .Config.Labels "{label}"}}}}', WARM_IMAGE], check=False
    )
    if known.strip() == requirements_digest():
        return
    server.create()
    play(SITE)
    # Not every index lets pip keep what it fetched, so the wheels themselves are what both sides install.
    packages = ["--requirement", "/srv/shop/current/app/requirements.txt", "--dest", WHEELS]
    trusted = "PIP_CERT=/etc/ssl/certs/ca-certificates.crt"
    inside("env", trusted, "/srv/shop/current/venv/bin/pip", "download", "--quiet", *packages)
    inside("tee", "/etc/pip.conf", text=f"[global]\nno-index = true\nfind-links = {WHEELS}\n")
    holder = f"{server.HOST}-warm"
    run(["docker", "rm", "--force", holder], check=False)
    run(["docker", "create", "--name", holder, server.BASE_IMAGE])
    copy_tree(f"docker exec {server.HOST} tar --create --directory=/ {' '.join(CACHES)}", f"docker cp - {holder}:/")
    run(["docker", "commit", "--change", f"LABEL {label}={requirements_digest()}", holder, WARM_IMAGE])
    run(["docker", "rm", holder])


def copy_tree(source: str, target: str) -> None:
    if subprocess.run(["bash", "-o", "pipefail", "-c", f"{source} | {target}"], cwd=ROOT, check=False).returncode:
        raise BenchFailed(f"{source} | {target} failed")


def running_units() -> dict[str, str]:
    """The invocation of every long-running service: another one after a restart, and only then."""
    shown = inside(
        "systemctl",
        "show",
        "--property=Id,Type,InvocationID",
        "shop-*.service",
        "nginx.service",
        "postgresql@*.service",
    )
    units = [dict(line.split("=", 1) for line in block.splitlines()) for block in shown.split("\n\n") if block.strip()]
    return {unit["Id"]: unit["InvocationID"] for unit in units if unit["Type"] != "oneshot" and unit["InvocationID"]}


def installed_packages(host: str) -> set[str]:
    return set(inside("apt-mark", "showmanual", host=host).split())


def measure_floor() -> float:
    """Seconds that floor.sh takes, in a container of its own while the converged one is frozen."""
    packages = installed_packages(server.HOST)
    written = [path for path in WRITTEN if inside("ls", "-d", path, check=False)]
    exclude = "--exclude=/srv/*/venv --exclude=/srv/*/static --exclude=__pycache__ --exclude=/etc/shop/pki/*"
    with_links = f"tar --create --absolute-names {exclude} {' '.join(written)}"
    BUILD.mkdir(parents=True, exist_ok=True)
    copy_tree(f"docker exec {server.HOST} {with_links}", f"cat > {FLOOR_FILES}")
    leaves = [path.removesuffix(".key") for path in inside("sh", "-c", "cd /etc/shop/pki && ls *.key").split()]
    run(["docker", "pause", server.HOST])
    try:
        server.create_container(WARM_IMAGE, FLOOR_PREFIX)
        for path in (FLOOR_FILES, ROOT / "bench" / "floor.sh"):
            run(["docker", "cp", str(path), f"{FLOOR_HOST}:/root/{path.name}"])
        missing = sorted(packages - installed_packages(FLOOR_HOST))
        started = time.monotonic()
        said = inside("sh", "/root/floor.sh", ",".join(leaves), *missing, host=FLOOR_HOST)
        seconds = time.monotonic() - started
        (BUILD / "floor.log").write_text(said)
        return seconds
    finally:
        FLOOR_FILES.unlink(missing_ok=True)
        run(["docker", "rm", "--force", FLOOR_HOST], check=False)
        run(["docker", "unpause", server.HOST])


def measure() -> list[Table]:
    ensure_warm_image()
    server.create(WARM_IMAGE)
    cold = play(SITE)
    floor = measure_floor()
    unchanged = [play(SITE) for _ in range(ROUNDS)]
    before = running_units()
    one_pool = play(SITE, files=ONE_POOL)
    after = running_units()
    restarted = sorted(unit for unit in after if before.get(unit) != after[unit])
    play(SITE)

    no_change = median(run.seconds for run in unchanged)
    changes = sum(run.changed for run in unchanged)
    only_that = restarted == [CHANGED_UNIT] and set(before) == set(after)
    table = Table(
        "convergence", "Convergence of one server with every component, in seconds", ("run", "site.yml", "floor.sh")
    )
    table.figures = [
        Figure(
            "cold, package caches warm",
            f"{cold.seconds:.1f}",
            f"{floor:.1f}",
            f"{cold.seconds / floor:.2f} x",
            f"<= {COLD_AIM} x",
            cold.seconds <= COLD_AIM * floor,
        ),
        Figure(
            f"no change, median of {ROUNDS}",
            f"{no_change:.1f}",
            aim=f"<= {NO_CHANGE_AIM} s, 0 changed",
            met=no_change <= NO_CHANGE_AIM and changes == 0,
        ),
        Figure(
            "concurrency of one pool",
            f"{one_pool.seconds:.1f}",
            aim=f"<= {ONE_POOL_AIM} s, only its unit",
            met=one_pool.seconds <= ONE_POOL_AIM and only_that,
        ),
    ]
    table.notes = [
        f"The runs with no change reported {changes} changed tasks.",
        f"By InvocationID, one pool's change restarted {', '.join(restarted) or 'nothing'}, of {len(after)} units.",
        "floor.sh makes the same server from a shell: same packages, venv, files, keys by openssl, database, services.",
    ]
    return [table]
