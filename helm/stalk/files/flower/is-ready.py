"""Whether Flower answers, asked with its own certificate."""

import http.client
import json
import os
import ssl
import sys
from pathlib import Path

given = json.loads(Path(os.environ["FLOWER_OPTIONS"]).read_text(encoding="utf-8"))
tls = given["tls"]
context = ssl.create_default_context(cafile=tls["ca"])
context.load_cert_chain(tls["certificate"], tls["key"])
try:
    connection = http.client.HTTPSConnection("localhost", given["port"], timeout=5, context=context)
    connection.request("GET", "/flower/healthcheck")
    status = connection.getresponse().status
except OSError as error:
    sys.exit(f"Flower does not answer: {error}")
sys.exit(None if status == 200 else f"Flower answers {status}")
