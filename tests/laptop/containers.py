"""compose.yaml as a project of its own on this machine."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any

import compose
import images
import yaml
from laptop import compose_command, make_secrets
from storefront import Shop

PROJECT = "stalk-laptop"
SERVICES = "localhost/stalk-laptop-services"
# What the official images have, and Debian's packages do not: folders that belong to the user of the chart.
DOCKERFILE = """
FROM {image}
RUN install -d -o 999 -g 999 /data /var/lib/postgresql/data && chown 999:999 /var/lib/rabbitmq
"""


class Laptop:
    """The stack of stack.yml with this broker, and its secrets in a folder of the test's."""

    def __init__(self, folder: Path, broker: str) -> None:
        self.broker = broker
        self.secrets = folder / "secrets"
        self.file = folder / "compose.yaml"
        (folder / "broker.yml").write_text(f"broker: {{kind: {broker}}}\n")
        written = compose.compose([str(compose.ROOT / "stack.yml"), "broker.yml"], folder)
        self.file.write_text(written.replace("./build/laptop/secrets", str(self.secrets)))
        self.project: dict[str, Any] = yaml.safe_load(self.file.read_text())
        self.environment = {
            **os.environ,
            "APP_IMAGE": image_of("app"),
            "BROKER_IMAGE": SERVICES,
            "DATABASE_IMAGE": SERVICES,
            "WEB_PORT": "0",
            "FLOWER_PORT": "0",
        }
        make_secrets(self.project, self.secrets)

    def compose(self, *arguments: str) -> str:
        options = ("--file", str(self.file), "--project-name", PROJECT, "--project-directory", str(compose.ROOT))
        command = [*compose_command(), *options, *arguments]
        done = subprocess.run(command, env=self.environment, capture_output=True, text=True, check=False)
        assert not done.returncode, done.stdout + done.stderr
        return done.stdout

    def port(self, service: str, inside: int) -> int:
        return int(self.compose("port", service, str(inside)).strip().rpartition(":")[2])

    def shop(self) -> Shop:
        return Shop("shop.localhost", None, "127.0.0.1", self.port("web", 8000))

    def python(self, code: str) -> None:
        """In Django's shell."""
        self.compose("exec", "-T", "web", "python", "manage.py", "shell", "--verbosity=0", "--command", code)

    def sql(self, query: str) -> str:
        psql = f'PGPASSWORD=$(cat /run/secrets/DATABASE_PASSWORD) psql -h localhost -U shop -At -c "{query}"'
        return self.compose("exec", "-T", "postgresql", "sh", "-c", psql).strip()

    def containers(self) -> list[str]:
        return docker("ps", "--all", "--quiet", "--filter", f"label=com.docker.compose.project={PROJECT}").split()


def docker(*arguments: str, stdin: str = "") -> str:
    done = subprocess.run(["docker", *arguments], input=stdin, capture_output=True, text=True, check=False)
    assert not done.returncode, done.stderr
    return done.stdout


def image_of(component: str) -> str:
    image = yaml.safe_load(images.VALUES.read_text())[component]["kubernetes"]["image"]
    return f"{image['repository']}:{image['tag']}"


def build_image_of_services() -> None:
    docker("build", "--tag", SERVICES, "-", stdin=DOCKERFILE.format(image=image_of("broker")))
