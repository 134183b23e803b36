# Flower's options: FLOWER_OPTIONS names a JSON file with those that differ between stacks. Every secret is read from
# $CREDENTIALS_DIRECTORY; nobody enters without a login.
import json
import os
import ssl
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import quote

from flower import events
from flower.urls import settings
from flower.utils import broker

credentials = Path(os.environ["CREDENTIALS_DIRECTORY"])
given = json.loads(Path(os.environ["FLOWER_OPTIONS"]).read_text(encoding="utf-8"))


def secret(name):
    return (credentials / name).read_text(encoding="utf-8").strip()


def secret_lines(name):
    lines = (line.strip() for line in secret(name).splitlines())
    return [line for line in lines if line and not line.startswith("#")]


def refuse(reason):
    sys.exit(f"flower: {reason}")


def users(name):
    found = secret_lines(name)
    if not found:
        refuse(f"the secret {name} names no user; write lines of user:password")
    for number, user in enumerate(found, start=1):
        login, _, password = user.partition(":")
        if not (login and password and user.isascii()):
            refuse(f"line {number} of the secret {name} is not user:password in ASCII")
    return found


def oauth_client(name):
    found = dict(line.split("=", 1) for line in secret_lines(name) if "=" in line)
    if not (found.get("oauth2_key") and found.get("oauth2_secret")):
        refuse(f"the secret {name} lacks oauth2_key=… or oauth2_secret=…; write one line for each")
    return found


address = given["address"]
port = given["port"]
unix_socket = ""
url_prefix = "flower"
xheaders = True
debug = False

cookie_secret = secret("FLOWER_COOKIE_SECRET")
if not cookie_secret:
    refuse("the secret FLOWER_COOKIE_SECRET is empty; give it 40 random characters")

if given["auth"]["kind"] == "basic":
    auth = ""
    basic_auth = users(given["auth"]["secret"])
else:
    basic_auth = []
    auth = given["auth"]["emails"]
    if not auth:
        refuse("flower.auth.emails is empty; name the addresses that may enter")
    auth_provider = given["auth"]["provider"]
    oauth = oauth_client(given["auth"]["secret"])
    oauth2_key = oauth["oauth2_key"]
    oauth2_secret = oauth["oauth2_secret"]
    oauth2_redirect_uri = given["url"] + "/login"

read_only = given["read_only"]
max_tasks = given["max_tasks"]
purge_offline_workers = given["purge_offline_workers"]
persistent = True
db = given["db"]
state_save_interval = given["state_save_interval"] * 1000

# Flower's own option asks no client for a certificate, and two of its pages ask for no login (flower 2.2,
# command.py and views/monitor.py). By this only a part of the stack reaches the port at all. The files are read for
# each connection (tornado 6.6, tcpserver.py): a renewed one is taken, and a CA that is gone is trusted no more.
# A laptop has none: there Flower listens on loopback alone (compose.yaml).
if tls := given["tls"]:
    settings["ssl_options"] = {
        "certfile": tls["certificate"],
        # Without a folder the key is one of the credentials.
        "keyfile": str(credentials / tls["key"]),
        "ca_certs": tls["ca"],
        "cert_reqs": ssl.CERT_REQUIRED,
    }

# RabbitMQ counts the queues by its management API, which asks for a password, perhaps for a certificate; Flower's own
# options name a CA alone (flower 2.2, utils/broker.py, RabbitMQ._tls_kwargs). Of a cluster there is an address of each
# node, with spaces between, and any of them tells of all.
broker_apis = given["broker_api"].split()
# Of Stalk's own RabbitMQ; with another's the user and the password are those of the broker's address.
if (credentials / "RABBITMQ_PASSWORD_flower").exists():
    password = quote(secret("RABBITMQ_PASSWORD_flower"), safe="")
    broker_apis = [api.replace("://", f"://flower:{password}@", 1) for api in broker_apis]
broker_api = broker_apis[0] if broker_apis else ""
broker_tls = {name: credentials / path for name, path in given["broker_tls"].items() if path}
shown = {"validate_cert": True, "ca_certs": str(broker_tls["ca"])}
if "certificate" in broker_tls:
    shown |= {"client_cert": str(broker_tls["certificate"]), "client_key": str(broker_tls["key"])}
broker.RabbitMQ._tls_kwargs = lambda _: shown
queues_of_one = broker.RabbitMQ.queues


async def queues_of_any(self, names):
    # Without an address Flower would show the broker's password to port 15672 of its host, in plain text
    # (flower 2.2, utils/broker.py, RabbitMQ.__init__).
    for self.http_api in broker_apis:
        # Of one that does not answer there are none.
        if found := await queues_of_one(self, names):
            return found
    return []


broker.RabbitMQ.queues = queues_of_any

# Flower doubles its pause after every failed try without an end (flower 2.2, events.py): after an outage of the
# broker of an hour it would see no event for another hour.
LONGEST_PAUSE = 30
events.time = SimpleNamespace(**{**vars(time), "sleep": lambda seconds: time.sleep(min(seconds, LONGEST_PAUSE))})
