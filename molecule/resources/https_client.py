"""Asks for a page over HTTPS, with a certificate or without one, or in plain text, and says what it heard.

Runs on a server with the system's Python: a question in JSON on stdin, the answer in JSON on stdout.
`{"port", "path", "login": "user:password"|"", "tls": {"ca", "certificate", "key"}|null}`, with paths in `tls`, of which
the last two may be empty → `{"refused": reason|null, "status": number|null, "body": text}`.
"""

from __future__ import annotations

import http.client
import json
import ssl
import sys
from base64 import b64encode
from typing import Any

SECONDS = 10


def ask(question: dict[str, Any]) -> tuple[int, str]:
    tls = question["tls"]
    connection = http.client.HTTPConnection("localhost", question["port"], timeout=SECONDS)
    if tls:
        context = ssl.create_default_context(cafile=tls["ca"])
        if tls["certificate"]:
            context.load_cert_chain(tls["certificate"], tls["key"])
        connection = http.client.HTTPSConnection("localhost", question["port"], timeout=SECONDS, context=context)
    login = b64encode(question["login"].encode()).decode()
    connection.request("GET", question["path"], headers={"Authorization": f"Basic {login}"} if login else {})
    answer = connection.getresponse()
    return answer.status, answer.read().decode()


def main() -> None:
    answer: dict[str, Any] = {"refused": None, "status": None, "body": ""}
    try:
        answer["status"], answer["body"] = ask(json.load(sys.stdin))
    except (OSError, http.client.HTTPException) as error:
        answer["refused"] = str(error) or type(error).__name__
    print(json.dumps(answer))


if __name__ == "__main__":
    main()
