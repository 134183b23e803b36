"""What the chart renders for a description, read back as the kubelet, the app and the broker read it."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from tests.helm import CHART, helm
from tests.parity.derived import Derived, acl, address, calls, definitions, options, settings, site, terms

Objects = dict[tuple[str, str], Any]


class Loader(yaml.SafeLoader):
    """YAML as Helm and kubectl read it (sigs.k8s.io/yaml): `y`, `n` and `1e3` are no texts."""

    bool_values = yaml.SafeLoader.bool_values | {"y": True, "n": False}


Loader.add_implicit_resolver("tag:yaml.org,2002:bool", re.compile("[yYnN]$"), list("yYnN"))
Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"[-+]?[0-9]+[eE][-+]?[0-9]+$"), list("-+0123456789")
)


def rendered(files: Sequence[Path]) -> Objects:
    done = helm("template", "stalk", CHART, "--namespace=teas", *(f"--values={file}" for file in files))
    assert done.returncode == 0, done.stderr
    documents = yaml.load_all(done.stdout, Loader=Loader)
    return {(each["kind"], each["metadata"]["name"]): each for each in documents if each}


class Kubernetes:
    """What a release has on Kubernetes."""

    def __init__(self, stack: Mapping[str, Any], objects: Objects) -> None:
        self.app = stack["app"]["name"]
        self.host = stack["web"]["host"]
        self.broker = stack["broker"]["component"]
        self.objects = objects
        self.plan: dict[str, Any] = json.loads(self.config(f"{self.app}-secrets-hook")["plan.json"])

    def config(self, name: str) -> dict[str, str]:
        data: dict[str, str] = self.objects["ConfigMap", name]["data"]
        return data

    def secrets(self, pod: Mapping[str, Any]) -> dict[str, Any]:
        """The files in $CREDENTIALS_DIRECTORY, with what the plan makes of them."""
        volume = next(each["projected"] for each in pod["volumes"] if each["name"] == "credentials")
        found: dict[str, Any] = {}
        for source in (each["secret"] for each in volume["sources"]):
            made = self.plan["texts"].get(source["name"], {})
            names = [item["path"] for item in source["items"]] if "items" in source else list(made)
            found |= {name: address(re.sub(r"[{}]", "", made[name])) if name in made else "given" for name in names}
        return found

    def environment(self, entries: Sequence[Mapping[str, Any]]) -> dict[str, str]:
        """Variables as the kubelet gives them to a process."""
        found: dict[str, str] = {}
        for entry in entries:
            if "value" in entry:
                found[entry["name"]] = expanded(entry["value"], found)
            elif key := entry["valueFrom"].get("configMapKeyRef"):
                found[entry["name"]] = self.config(key["name"])[key["key"]]
            else:
                found[entry["name"]] = entry["valueFrom"]["fieldRef"]["fieldPath"]
        return found

    def process(self, kind: str, name: str, container: str) -> Derived:
        pod = self.objects[kind, f"{self.app}-{name}"]["spec"]["template"]["spec"]
        main = next(each for each in pod["containers"] if each["name"] == container)
        found: Derived = {
            "command": main["command"],
            "environment": self.environment(main["env"]),
            "secrets": self.secrets(pod),
            "ends_within": pod["terminationGracePeriodSeconds"],
        }
        probe = main.get("livenessProbe", {}).get("exec", {}).get("command", [])
        if "/opt/stalk/is-alive" in probe:
            found["heartbeat_max_age"] = int(probe[2])
        if container == "worker":
            _, script, *stop, age = main["command"][:5]
            assert script == "/opt/stalk/run-worker"
            assert int(age) == found["heartbeat_max_age"]
            found |= {"stop": stop, "command": main["command"][5:]}
        elif container == "beat":
            assert main["command"][1] == "/opt/stalk/run-beat"
            found["command"] = main["command"][2:]
        found["command"] = options(found["command"])
        return found

    def broker_as_read(self) -> Derived:
        name = f"{self.app}-{self.broker}"
        configuration, live = self.config(name), self.config(f"{name}-live")
        passwords = {f"@{user}@": secret for user, secret in self.plan["digests"][name]["passwords"].items()}
        found: Derived = {
            "settings": settings(configuration[f"{self.broker}.conf"]) | settings(live["reloadable.conf"]),
            "ends_within": self.objects["StatefulSet", name]["spec"]["template"]["spec"][
                "terminationGracePeriodSeconds"
            ],
        }
        if self.broker == "redis":
            return found | {
                "openssl": settings(configuration["openssl.cnf"]),
                "users": acl(live["users.acl"], passwords),
            }
        return found | {
            "tls": terms(configuration["advanced.config"]),
            "plugins": configuration["enabled_plugins"],
            "live": calls(live["reloadable.erl"]),
            "definitions": definitions(live["definitions.json"], passwords),
        }

    def derived(self) -> Derived:
        found: Derived = {}
        for kind, name in self.objects:
            component, _, pool = name.removeprefix(f"{self.app}-").partition("-")
            if kind == "Deployment":
                found[f"worker {pool}" if pool else component] = self.process(
                    kind, name.removeprefix(f"{self.app}-"), component
                )
        if "flower" in found:
            flower = self.config(f"{self.app}-flower")
            found["flower"] |= {"options": json.loads(flower["options.json"]), "program": flower["flower.py"]}
        if "web" in found:
            found["web"]["site"] = site(self.config(f"{self.app}-web")["nginx.conf"], self.host)
        if self.broker != "external":
            found[self.broker] = self.broker_as_read()
        if ("ConfigMap", f"{self.app}-postgresql") in self.objects:
            database = self.config(f"{self.app}-postgresql")
            found["postgresql"] = {
                "settings": settings(database["postgresql.conf"]),
                "access": [line.split() for line in database["pg_hba.conf"].splitlines() if line[:1] != "#"],
            }
        signed = self.plan["tls"].get("signed", {})
        leaves = signed.get("leaves") or self.plan["tls"]["given"]
        found["certificates"] = {key: signed[key] for key in ("lifetime", "rotate_before") if key in signed}
        found["certificates"]["usages"] = {leaf["name"]: leaf["usages"] for leaf in leaves}
        return found


def expanded(text: str, known: Mapping[str, str]) -> str:
    """`$(NAME)` of a known variable is its value, `$$` is `$` (kubernetes, third_party/forked/golang/expansion)."""

    def value(match: re.Match[str]) -> str:
        if match[0] == "$$":
            return "$"
        return known.get(match[1], match[0])

    return re.sub(r"\$\$|\$\(([^)]*)\)", value, text)
