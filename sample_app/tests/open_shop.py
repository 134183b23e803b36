"""`python -m tests.open_shop PORT`: the shop with workers and beat on this machine until Ctrl-C.

To look at it, or for the tests of tests/browser.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from contextlib import ExitStack, suppress
from pathlib import Path

from tests.processes import APP_FOLDER, Process
from tests.services import Services

OPERATOR = "operator"
WORKERS = {"main": ["--pool=prefork", "--concurrency=2", "--queues=celery,high_priority,reports"]}
WORKERS["io"] = ["--pool=gevent", "--concurrency=10", "--queues=webhooks"]


def run(port: str) -> None:
    with ExitStack() as stack, suppress(KeyboardInterrupt):
        services = Services()
        stack.callback(services.stop)
        services.start()
        environment = {**os.environ, **services.environment, "DJANGO_DEBUG": "1"}
        manage = [sys.executable, "manage.py"]
        subprocess.run([*manage, "migrate", "--verbosity=0"], cwd=APP_FOLDER, env=environment, check=True)
        login = {"DJANGO_SUPERUSER_USERNAME": OPERATOR, "DJANGO_SUPERUSER_PASSWORD": OPERATOR}
        create = [*manage, "createsuperuser", "--noinput", "--email="]
        subprocess.run(create, cwd=APP_FOLDER, env=environment | login, check=True)
        print(f"The admin lets {OPERATOR} in, with the password {OPERATOR}.", flush=True)
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        commands = {name: ["worker", f"--hostname={name}@here", *options] for name, options in WORKERS.items()}
        for name, arguments in {**commands, "beat": ["beat"]}.items():
            process = Process(name, arguments, services.environment, folder)
            stack.callback(process.close)
            process.until_beating()
        subprocess.run([*manage, "runserver", "--noreload", port], cwd=APP_FOLDER, env=environment, check=False)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    run(sys.argv[1])
