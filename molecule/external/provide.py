"""provide.py FOLDER HOST: certificates of the brokers that somebody else has on HOST, their addresses, and the part of
the description that names them. What is there stays."""

from __future__ import annotations

import sys
from pathlib import Path

import yaml

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from resources.certificates import Authority

FILES = {"ca": "broker-ca.crt", "certificate": "client.crt", "key": "client.key"}


def main() -> None:
    folder, host = Path(sys.argv[1]), sys.argv[2]
    if (folder / "external.yml").exists():
        return
    brokers, results = Authority.new("somebody's CA"), Authority.new("another's CA")
    for authority, name in ((brokers, "broker-ca"), (results, "results-ca"), (Authority.new("stranger"), "stranger")):
        authority.pair.write(folder, name)
    brokers.leaf(host).write(folder, "broker")
    results.leaf(host).write(folder, "results")
    brokers.leaf("shop").write(folder, "client")
    servers = {key: str(folder / file) for key, file in FILES.items()}
    description = {
        "broker": {
            "kind": "external",
            "external": "rabbitmq",
            "management_url": f"https://{host}:15671",
            "servers": servers,
        },
        "results": {"kind": "external", "servers": {"ca": str(folder / "results-ca.crt")}},
        "servers": {"extra_ca": "/etc/ssl/certs/ca-certificates.crt"},
    }
    addresses = {
        "CELERY_BROKER_URL": f"amqps://shop:a%2Fb%40c@{host}:5671/shop",
        "CELERY_RESULT_BACKEND": f"rediss://guest:a%2Fb%40c@{host}:6391/0",
    }
    secrets = folder / "state" / "secrets"
    secrets.mkdir(mode=0o700, parents=True)
    for name, address in addresses.items():
        (secrets / name).touch(mode=0o600)
        (secrets / name).write_text(f"{address}\n")
    (folder / "external.yml").write_text(yaml.safe_dump(description))


if __name__ == "__main__":
    main()
