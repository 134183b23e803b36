#!/usr/bin/python
"""Keys, requests and certificates of the leaves on a host."""

from __future__ import annotations

DOCUMENTATION = r"""
module: leaf_requests
short_description: Keep the leaf keys of a host and exchange requests for certificates
description:
  - Makes an ECDSA P-256 key for each leaf that has none, and returns a certificate request of each key with
    the certificate that lies beside it. The key never leaves the host.
  - Installs the certificates it is given. Every file is replaced as a whole or not at all.
  - Used by the action M(stalk.celery.leaves), which signs on the control node.
options:
  directory:
    description: Folder of the files C(NAME.key), C(NAME.crt) and C(ca.crt).
    type: path
    required: true
  leaves:
    description: Names of the leaves.
    type: list
    elements: str
    required: true
  certificates:
    description: Certificates to install, PEM by name of the leaf.
    type: dict
    default: {}
  trust:
    description: The CA certificates to install as C(ca.crt), PEM.
    type: str
requirements: [openssl]
attributes:
  check_mode: {support: full, description: Writes nothing.}
  diff_mode: {support: none, description: The action shows it.}
author: [Stalk developers]
"""

EXAMPLES = r"""
- name: Request of one leaf
  stalk.celery.leaf_requests:
    directory: /etc/shop/pki
    leaves: [redis]
"""

RETURN = r"""
leaves:
  description: By name, the request of the key (null in check mode where there is no key) and the certificate (or null).
  returned: success
  type: dict
trust:
  description: Content of C(ca.crt), or null.
  returned: success
  type: str
keys_made:
  description: Names of the leaves whose key is new.
  returned: success
  type: list
"""

import os
import subprocess
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule

KEY_ALGORITHM = ["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-pkeyopt", "ec_param_enc:named_curve"]


class Refused(Exception):
    """A line for the user: path, reason, remedy."""


def openssl(path: Path, remedy: str, *arguments: str) -> str:
    done = subprocess.run(["openssl", *arguments], capture_output=True, text=True, stdin=subprocess.DEVNULL)
    if done.returncode:
        reason = (done.stderr.strip().splitlines() or ["openssl failed"])[0]
        raise Refused(f"{path}: {reason}; {remedy}")
    return done.stdout


def read(path: Path) -> str | None:
    try:
        return path.read_text()
    except FileNotFoundError:
        return None


def write(path: Path, content: str, mode: int) -> None:
    partial = path.with_name(f".{path.name}.partial")
    try:
        descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
        with os.fdopen(descriptor, "w") as handle:
            os.fchmod(descriptor, mode)
            handle.write(content)
            handle.flush()
            os.fsync(descriptor)
        partial.replace(path)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise Refused(
            f"{path}: {error.strerror}; the files there are as before, run again when it can be written"
        ) from error


def make_key(path: Path) -> None:
    write(path, openssl(path, "check the openssl of the host", "genpkey", *KEY_ALGORITHM), 0o600)


def request_of(path: Path, name: str) -> str:
    remedy = "remove the file, the next run makes another key"
    return openssl(path, remedy, "req", "-new", "-key", str(path), "-subj", f"/CN={name}", "-config", os.devnull)


def exchange(
    directory: Path, names: list[str], certificates: dict[str, str], trust: str | None, *, dry: bool
) -> dict[str, Any]:
    keys = {name: directory / f"{name}.key" for name in names}
    missing = [name for name in names if not keys[name].exists()]
    if not dry:
        directory.mkdir(0o755, parents=True, exist_ok=True)
        for name in missing:
            make_key(keys[name])
        for name, certificate in certificates.items():
            write(directory / f"{name}.crt", certificate, 0o644)
        if trust is not None:
            write(directory / "ca.crt", trust, 0o644)
    return {
        "changed": bool(missing or certificates or trust is not None),
        "keys_made": missing,
        "trust": read(directory / "ca.crt"),
        "leaves": {
            name: {
                "request": None if dry and name in missing else request_of(keys[name], name),
                "certificate": read(directory / f"{name}.crt"),
            }
            for name in names
        },
    }


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "directory": {"type": "path", "required": True},
            "leaves": {"type": "list", "elements": "str", "required": True},
            "certificates": {"type": "dict", "default": {}},
            "trust": {"type": "str"},
        },
        supports_check_mode=True,
    )
    given = module.params
    directory = Path(given["directory"])
    try:
        answer = exchange(directory, given["leaves"], given["certificates"], given["trust"], dry=module.check_mode)
    except Refused as refused:
        module.fail_json(msg=str(refused))
    except OSError as error:
        missing_program = error.filename == "openssl"
        remedy = "install it (apt-get install openssl)" if missing_program else "correct it and run again"
        module.fail_json(msg=f"{error.filename}: {error.strerror}; {remedy}")
    module.exit_json(**answer)


if __name__ == "__main__":
    main()
