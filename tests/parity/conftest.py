"""Lets Ansible find the plugins of the checkout, before anything imports them."""

from __future__ import annotations

from pathlib import Path

from ansible.plugins.loader import init_plugin_loader

init_plugin_loader([str(Path(__file__).resolve().parents[2] / ".ansible" / "collections")])
