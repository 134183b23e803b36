"""`make compose`: writes compose.yaml from a description, stack.yml unless others are named."""

from __future__ import annotations

import json
import os
import sys
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import jinja2
from ansible_collections.stalk.celery.plugins.module_utils.description.chart import chart_words
from ansible_collections.stalk.celery.plugins.module_utils.description.choices import value_at
from ansible_collections.stalk.celery.plugins.module_utils.description.describe import describe
from ansible_collections.stalk.celery.plugins.module_utils.description.problems import Problem, Refused

ROOT = Path(__file__).resolve().parent.parent
FILE = ROOT / "compose.yaml"
TEMPLATES = ROOT / "tools" / "laptop"


def compose(names: Sequence[str], folder: Path = ROOT) -> str:
    """The text of compose.yaml. Raises Refused with all reasons at once."""
    stack = describe(names, folder, None)
    if problems := list(beyond_a_laptop(stack)):
        raise Refused(problem.text for problem in problems)
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,
    )
    environment.filters["value"] = value
    return environment.get_template("compose.yaml.j2").render(
        stack=stack,
        files=" ".join(names),
        source=os.path.relpath(stack["app"]["servers"]["source"], ROOT),
        broker_image=broker_image(stack["broker"]),
        flower_options=flower_options(stack),
    )


def beyond_a_laptop(stack: Mapping[str, Any]) -> Iterator[Problem]:
    """What a description for production may say, and containers on one machine cannot do."""
    broker, results = stack["broker"], stack["results"]
    ours = {
        "broker.topology": "single",
        "broker.kind": broker["external"] if broker["kind"] == "external" else broker["kind"],
        "results.kind": "auto" if results["kind"] == "external" else results["kind"],
        "database.kind": "embedded",
        **({"flower.auth.kind": "basic"} if stack["flower"]["enabled"] else {}),
    }
    for path, choice in ours.items():
        if (made := value_at(stack, path)) != choice:
            *_, key = keys = tuple(path.split("."))
            remedy = f"name another file after this one, with `{key}: {choice}`"
            yield Problem(keys, f"is {made}, which a laptop does not have", remedy)


def broker_image(broker: Mapping[str, Any]) -> str:
    image = {**chart_words("rules")["broker"]["kubernetes"][broker["kind"]]["image"]}
    image |= {name: stated for name, stated in broker["kubernetes"]["image"].items() if stated}
    return f"{image['repository']}:{image['tag']}"


def flower_options(stack: Mapping[str, Any]) -> str:
    """What helm/stalk/files/flower/flower.py reads."""
    flower = stack["flower"]
    is_on_rabbitmq = stack["broker"]["protocol"] == "rabbitmq"
    options = {
        "address": "",
        "port": flower["port"],
        "url": f"http://localhost:{flower['port']}/flower",
        **{
            name: flower[name]
            for name in ("auth", "read_only", "max_tasks", "purge_offline_workers", "state_save_interval")
        },
        "db": "/run/stalk/flower",
        "broker_api": "http://rabbitmq:15672/api/" if is_on_rabbitmq else "",
        "broker_tls": {"ca": "/etc/ssl/certs/ca-certificates.crt"},
        "tls": None,
    }
    return json.dumps(options)


def value(text: object, indent: int = 4) -> str:
    """The value of a variable as YAML has it, an object of JSON over several lines; Compose makes `$` of `$$`."""
    written = str(text).replace("$", "$$")
    if written.startswith("{"):
        return "|-\n" + textwrap.indent(json.dumps(json.loads(written), indent=2), " " * indent)
    return "'" + written.replace("'", "''") + "'"


def main() -> int:
    try:
        text = compose(sys.argv[1:] or ["stack.yml"])
    except Refused as refused:
        print("\n".join(["compose: the description is refused; nothing was changed.", *refused.lines]), file=sys.stderr)
        return 1
    FILE.write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
