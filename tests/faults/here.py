"""Where faults happen in this run: to the servers that a Molecule scenario deployed, else on Kubernetes."""

from __future__ import annotations

import os
from typing import Any

from . import on_kubernetes, on_servers
from .fault import Scene

HERE: Scene[Any] = on_servers.scene() if "MOLECULE_FILE" in os.environ else on_kubernetes.scene()
