"""is-ready.py PORT: whether Flower answers, asked with its own certificate."""

import http.client
import os
import ssl
import sys

context = ssl.create_default_context(cafile=os.environ["CELERY_TLS_CA"])
context.load_cert_chain(os.environ["CELERY_TLS_CERT"], os.environ["CELERY_TLS_KEY"])
try:
    connection = http.client.HTTPSConnection("localhost", int(sys.argv[1]), timeout=5, context=context)
    connection.request("GET", "/flower/healthcheck")
    status = connection.getresponse().status
except OSError as error:
    sys.exit(f"Flower does not answer: {error}")
sys.exit(None if status == 200 else f"Flower answers {status}")
