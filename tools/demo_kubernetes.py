"""`make demo-kubernetes`: installs stack.yml on Kubernetes with Helm, places orders and watches them ship."""

from __future__ import annotations

import argparse
import os
import shutil
import sys
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import Any

import images
import requests
from chart_release import RESTRICTED, ROOT, ChartRelease
from cluster import TOOLS, Cluster, ClusterFailed, choose
from pod_states import container_in_trouble, is_done, trouble_of
from storefront import ShopFailed, order_and_report
from terminal import say

NAMESPACE = "stalk-demo"
HTTPS_PORT = 8443
SECONDS_BETWEEN_LOOKS = 1
FOLDER = ROOT / "build" / "demo-kubernetes"
CA = FOLDER / "ca.crt"
FLOWER_USERS = FOLDER / "flower-users"


def make_namespace(release: ChartRelease) -> None:
    manifest = release.cluster.kubectl("create", "namespace", NAMESPACE, "--dry-run=client", "--output=yaml")
    release.cluster.kubectl("apply", "--filename=-", stdin=manifest)
    release.cluster.kubectl("label", "namespace", NAMESPACE, RESTRICTED, "--overwrite")


def install(release: ChartRelease) -> None:
    """Shows which pods are still to come while Helm waits for them, and why when they do not come."""
    with ThreadPoolExecutor(1) as pool:
        installing = pool.submit(release.upgrade)
        show_progress(release, installing)
    try:
        installing.result()
    except ClusterFailed as failure:
        reasons = "".join(f"\n    {line}" for line in troubles(release))
        raise ClusterFailed(f"{failure}{reasons}") from None


def show_progress(release: ChartRelease, installing: Future[None]) -> None:
    last = ""
    while wait([installing], SECONDS_BETWEEN_LOOKS).not_done:
        waiting = ", ".join(sorted(component_of(pod) for pod in release.get("pods") if not is_done(pod)))
        if waiting and waiting != last:
            print(f"    waiting for {waiting}", flush=True)
            last = waiting


def component_of(pod: dict[str, Any]) -> str:
    labels = pod["metadata"].get("labels", {})
    return "-".join(filter(None, (labels.get("app.kubernetes.io/component"), labels.get("stalk.celery/pool"))))


def troubles(release: ChartRelease) -> list[str]:
    found = []
    for pod in release.get("pods"):
        if is_done(pod) or not (trouble := trouble_of(pod)):
            continue
        name = pod["metadata"]["name"]
        if container := container_in_trouble(pod):
            said = release.kubectl("logs", name, "--container", container, "--tail=1").strip()
            trouble += f", and said: {said}" if said else ""
        found.append(f"{name}: {trouble}")
    return found


def up(cluster: Cluster) -> None:
    cluster.up()
    cluster.load(*images.names())
    release = ChartRelease(cluster, NAMESPACE)
    make_namespace(release)
    files = " ".join(f"-f {path.relative_to(ROOT)}" for path in release.files)
    say(f"Installing stack.yml in the namespace {NAMESPACE}: helm upgrade --install --wait shop helm/stalk {files}")
    install(release)
    with release.shop() as shop:
        order_and_report(shop, f"https://{release.host}/, through the Service shop-web")
    FOLDER.mkdir(mode=0o700, parents=True, exist_ok=True)
    CA.write_text(release.secret("shop-web-tls")["ca.crt"])
    FLOWER_USERS.write_text(release.secret("shop-secrets")["flower-users"])
    site = f"https://{release.host}:{HTTPS_PORT}"
    print(f"""
    Open     make demo-kubernetes-open, which forwards port {HTTPS_PORT} to the Service until you press Ctrl-C
    Shop     {site}/
    Flower   {site}/flower/   user and password: cat {FLOWER_USERS.relative_to(ROOT)}
    Trust    import {CA.relative_to(ROOT)} into your browser, or accept its warning
    Status   export KUBECONFIG={cluster.kubeconfig} PATH={TOOLS}:$PATH
             kubectl -n {NAMESPACE} get pods
    Change   edit stack.yml (add, remove or resize a pool) and run `make demo-kubernetes` again
    Stop     make demo-kubernetes-down""")


def open_site(cluster: Cluster) -> None:
    release = ChartRelease(cluster, NAMESPACE)
    if not cluster.is_up() or not release.get("services", "--field-selector=metadata.name=shop-web"):
        raise ClusterFailed("the demo is not installed; run `make demo-kubernetes`")
    command = cluster.command("kubectl", "--namespace", NAMESPACE, "port-forward", "service/shop-web")
    say(f"https://{release.host}:{HTTPS_PORT}/ leads to the Service shop-web; Ctrl-C ends that")
    os.execve(command[0], (*command, f"{HTTPS_PORT}:https"), cluster.environment)


def down(cluster: Cluster) -> None:
    if not cluster.is_up():
        say("There is no cluster, and so no demo on it")
        return
    say(f"Removing the release shop and the namespace {NAMESPACE}, with its data")
    ChartRelease(cluster, NAMESPACE).helm("uninstall", "--ignore-not-found", "--wait")
    cluster.kubectl("delete", "namespace", NAMESPACE, "--ignore-not-found")
    shutil.rmtree(FOLDER, ignore_errors=True)
    print("    The cluster is left; `make cluster-down` removes it.")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("action", choices=["up", "open", "down"])
    action = parser.parse_args().action
    os.chdir(ROOT)
    try:
        {"up": up, "open": open_site, "down": down}[action](choose())
    except ClusterFailed as error:
        print(f"demo-kubernetes: {error}", file=sys.stderr)
        return 1
    except (ShopFailed, requests.RequestException) as error:
        print(f"demo-kubernetes: {error}; `kubectl -n {NAMESPACE} get pods` shows what stands still", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
