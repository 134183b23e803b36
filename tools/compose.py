"""`make compose`: writes compose.yaml from a description, stack.yml unless others are named."""

from __future__ import annotations

import json
import os
import sys
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jinja2
from ansible_collections.stalk.celery.plugins.module_utils.description.chart import chart_words
from ansible_collections.stalk.celery.plugins.module_utils.description.describe import describe
from ansible_collections.stalk.celery.plugins.module_utils.description.problems import Problem, Refused

ROOT = Path(__file__).resolve().parent.parent
FILE = ROOT / "compose.yaml"
TEMPLATES = ROOT / "tools" / "laptop"
ONE_NODE = "a laptop has one node of its own; name another file after this one, with"


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


def beyond_a_laptop(stack: Mapping[str, Any]) -> list[Problem]:
    """What a description for production may say, and containers on one machine cannot do."""
    found = []
    if stack["broker"]["topology"] != "single":
        found.append(
            Problem(("broker", "topology"), f"is {stack['broker']['topology']}", f"{ONE_NODE} `topology: single`")
        )
    if stack["broker"]["kind"] == "external":
        found.append(Problem(("broker", "kind"), "is external", f"{ONE_NODE} `kind: {stack['broker']['external']}`"))
    if stack["results"]["kind"] == "external":
        found.append(Problem(("results", "kind"), "is external", f"{ONE_NODE} `kind: auto`"))
    if stack["database"]["kind"] == "external":
        found.append(Problem(("database", "kind"), "is external", f"{ONE_NODE} `kind: embedded`"))
    if stack["flower"]["enabled"] and stack["flower"]["auth"]["kind"] != "basic":
        found.append(
            Problem(
                ("flower", "auth", "kind"),
                f"is {stack['flower']['auth']['kind']}, whose provider does not know a laptop",
                "name another file after this one, with `kind: basic`",
            )
        )
    return found


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
