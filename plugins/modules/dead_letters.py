"""Lists dead letters of RabbitMQ, and puts them back."""

from __future__ import annotations

DOCUMENTATION = r"""
module: dead_letters
short_description: List dead letters of RabbitMQ, and put them back
description:
  - Tells what waits in the queues C(@dead.POOL), each with its task, the queue that it came from and why it is there.
  - Those of the pools in O(put_back) become new messages in their queues, and leave once RabbitMQ confirmed that.
    Whatever ends this in between loses none; one message may then be put back twice.
  - Runs on RabbitMQ's host, as the user C(operator), whose password is kept there.
requirements: [python3-amqp]
options:
  app:
    description: Name of the app, which is RabbitMQ's vhost.
    type: str
    required: true
  port:
    description: RabbitMQ's port, with TLS.
    type: int
    required: true
  management_port:
    description: Port of its HTTPS API, which knows the queues of pools that left too.
    type: int
    required: true
  put_back:
    description: Pools whose dead letters to put back.
    type: list
    elements: str
    default: []
author: [Stalk developers]
attributes:
  check_mode: {support: full}
"""

EXAMPLES = r"""
- name: Dead letters of the pool reports go back
  stalk.celery.dead_letters:
    app: shop
    port: 5671
    management_port: 15671
    put_back: [reports]
"""

RETURN = r"""
lines: {description: What there is and what was done, to read., type: list, returned: always}
back: {description: Pool to its queues and how many are there again., type: dict, returned: always}
stay: {description: Pool to the reasons for which dead letters stay, and how many., type: dict, returned: always}
"""

import http.client
import traceback
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule, missing_required_lib
from ansible_collections.stalk.celery.plugins.module_utils.status.rabbitmq import Management, ManagementRefused
from ansible_collections.stalk.celery.plugins.module_utils.stranded import DEAD, dead_letters

MISSING: str | None = None
try:
    from amqp.exceptions import AMQPError
    from ansible_collections.stalk.celery.plugins.module_utils.dead_letters import (
        NoPool,
        Way,
        connected,
        look,
        put_back,
    )
except ImportError:
    MISSING = traceback.format_exc()

SHOWN = 20
SECONDS = 20


def pools_with_a_queue(app: str, port: int, pki: Path, credentials: Path) -> list[str]:
    password = (credentials / "status" / "RABBITMQ_PASSWORD_status").read_text().strip()
    with Management(port, pki, "status", password, SECONDS) as management:
        names = [each["name"] for each in management.get(f"queues/{app}?columns=name")]
    return sorted(name.removeprefix(DEAD) for name in names if name.startswith(DEAD))


def listed(connection: Any, pool: str) -> list[str]:
    with connection.channel() as channel:
        count = channel.queue_declare(f"{DEAD}{pool}", passive=True).message_count
    if not count:
        return []
    shown = [f"  {letter}" for letter in look(connection, pool, SHOWN)]
    return [f"pool {pool}: {dead_letters(count)}", *shown, *(["  …"] if count > SHOWN else [])]


def told(pool: str, way: Way) -> list[str]:
    back = [f"pool {pool}: {dead_letters(count)} put back into queue {queue}" for queue, count in way.back.items()]
    return back + [
        f"pool {pool}: {dead_letters(count)} stay{'s' * (count == 1)}: {why}" for why, count in way.stay.items()
    ]


def run(module: AnsibleModule) -> None:
    app, wanted = module.params["app"], module.params["put_back"]
    pki, credentials = Path(f"/etc/{app}/pki"), Path(f"/etc/{app}/credentials")
    files = {
        "ca_certs": str(pki / "ca.crt"),
        "certfile": str(pki / "operator.crt"),
        "keyfile": str(pki / "operator.key"),
    }
    password = (credentials / "operator" / "RABBITMQ_PASSWORD_operator").read_text().strip()
    pools = pools_with_a_queue(app, module.params["management_port"], pki, credentials)
    if unknown := sorted(set(wanted) - set(pools)):
        known = ", ".join(pools)
        module.fail_json(
            msg=f"stalk_put_back: pool {', '.join(unknown)} has no queue of dead letters; write some of {known}"
        )
    lines, ways = [], {}
    with connected(f"localhost:{module.params['port']}", app, "operator", password, files) as connection:
        if not module.check_mode:
            ways = {pool: put_back(connection, pool) for pool in dict.fromkeys(wanted)}
        for pool in pools:
            lines += told(pool, ways[pool]) if pool in ways else listed(connection, pool)
    result = {
        "changed": any(way.back for way in ways.values()),
        "lines": lines or ["no dead letter"],
        "back": {pool: dict(way.back) for pool, way in ways.items()},
        "stay": {pool: dict(way.stay) for pool, way in ways.items()},
    }
    if any(way.stay for way in ways.values()):
        reasons = "; ".join(line for pool, way in ways.items() for line in told(pool, way))
        module.fail_json(msg=f"{reasons}. What stays is kept; mend what it says and run again", **result)
    module.exit_json(**result)


def main() -> None:
    module = AnsibleModule(
        {
            "app": {"type": "str", "required": True},
            "port": {"type": "int", "required": True},
            "management_port": {"type": "int", "required": True},
            "put_back": {"type": "list", "elements": "str", "default": []},
        },
        supports_check_mode=True,
    )
    if MISSING:
        module.fail_json(msg=missing_required_lib("amqp"), exception=MISSING)
    try:
        run(module)
    except NoPool as error:
        module.fail_json(msg=f"pool {error}: RabbitMQ has no queue {DEAD}{error}")
    except (AMQPError, OSError, http.client.HTTPException, ManagementRefused) as error:
        said = str(error) or type(error).__name__
        module.fail_json(msg=f"RabbitMQ: {said}; run it again, what was not put back is still there")


if __name__ == "__main__":
    main()
