"""What happens on Kubernetes, each fault by itself: it is done, and undone, while tasks flow."""

from __future__ import annotations

import os
import random
import subprocess
import time
import uuid
from collections.abc import Callable
from pathlib import Path

from cluster import ClusterFailed
from resources.effects import SECONDS_UNTIL_A_LOST_MESSAGE_IS_BACK, once
from resources.waiting import wait_for

from tests.cluster.release import is_ready, name_of
from tests.cluster.renewal import (
    COMPONENTS,
    connect_anew,
    forget_passwords,
    step,
    trust,
    wait_until_mounted,
    wait_until_taken,
    wait_until_trusted,
)

from .fault import Fault, Scene
from .pods import SECONDS_UNTIL_WHOLE, Pod, Pods, deployed, first_process, on_node, signal_processes, status_of

Do = Callable[[Pods], object]
Change = Callable[[Pods, Pod], object]

# How long what stands still, or is cut off, does.
SECONDS = 20
EAT = Path(__file__).with_name("eat.py").read_text()
# Helm has begun, and waits for a job or for pods.
MIDDLE_OF_AN_UPGRADE = (0, 15)
RANDOM = random.Random(os.environ.get("STALK_FAULTS_SEED", "stalk"))
CUT = (("INPUT", "!", "--in-interface", "lo"), ("OUTPUT", "!", "--out-interface", "lo"))
# Of the pool that is scaled.
LEAST, MOST = 2, 4
BURST, SECONDS_OF_A_BURST = 150, 4


def of(component: str, change: Change, pool: str = "") -> Do:
    """Changes its last pod; ends when all pods are there and ready."""

    def do(pods: Pods) -> None:
        change(pods, pods.pods(component, pool)[-1])
        pods.wait_until_whole()

    return do


def of_a_worker(change: Change) -> Do:
    return of("worker", change, "default")


def delete(pods: Pods, pod: Pod) -> None:
    pods.kubectl("delete", "pod", name_of(pod))


def delete_by_force(pods: Pods, pod: Pod) -> None:
    """Its processes are killed; another takes its place at once."""
    pods.kubectl("delete", "pod", name_of(pod), "--grace-period=0", "--force")


def evict(pods: Pods, pod: Pod) -> None:
    pods.evict(name_of(pod))
    pods.wait(f"pod/{name_of(pod)}", "delete", SECONDS_UNTIL_WHOLE)


def kill(pods: Pods, pod: Pod) -> None:
    signal_processes(pod, "KILL")
    until_restarted(pods, pod)


def kill_children(pods: Pods, pod: Pod) -> None:
    before = children(pods, pod)
    pods.execute(name_of(pod), "sh", "-c", f"kill -KILL {' '.join(before)}")
    wait_for("it has others", lambda: not {*before} & {*children(pods, pod)})


def children(pods: Pods, pod: Pod) -> list[str]:
    """Those of the worker, which is the child of the container's first process."""
    main = "$(cat /proc/1/task/1/children | tr -d ' ')"
    return pods.execute(name_of(pod), "sh", "-c", f"cat /proc/{main}/task/{main}/children").split()


def freeze(_: Pods, pod: Pod) -> None:
    signal_processes(pod, "STOP")
    try:
        time.sleep(SECONDS)
    finally:
        signal_processes(pod, "CONT")


def hang(pods: Pods, pod: Pod) -> None:
    """Celery's main process stands still until the probe of its heartbeat has it restarted."""
    signal_processes(pod, "STOP", "--oldest", "celery")
    until_restarted(pods, pod)


def until_restarted(pods: Pods, pod: Pod) -> None:
    before = status_of(pod)["restartCount"]

    def is_restarted() -> bool:
        now = pods.get("pod", name_of(pod))
        return is_ready(now) and bool(status_of(now)["restartCount"] > before)

    wait_for(f"{name_of(pod)} is restarted", is_restarted, SECONDS_UNTIL_WHOLE)


def run_out_of_memory(pods: Pods, pod: Pod) -> None:
    """The kernel kills children of the worker, or the whole container where it takes a control group as one."""
    before = children(pods, pod)
    eater = pods.cluster.command("kubectl", "--namespace", pods.namespace, "exec", "--stdin", name_of(pod))
    done = subprocess.run(
        (*eater, "--", "python", "-", *before),
        env=pods.cluster.environment,
        input=EAT,
        capture_output=True,
        text=True,
        check=False,
    )

    def has_lost_a_child() -> bool:
        if status_of(pods.get("pod", name_of(pod)))["restartCount"] > status_of(pod)["restartCount"]:
            return True
        try:
            return bool({*before} - {*children(pods, pod)})
        except ClusterFailed:
            # Between two containers.
            return False

    wait_for(f"the kernel kills a child ({done.stderr.strip()})", has_lost_a_child, SECONDS_UNTIL_WHOLE)
    pods.wait_until_whole()


def cut_off(_: Pods, pod: Pod) -> None:
    """Nothing gets in or out of its network, and nobody hears that connections ended."""
    network = ("nsenter", f"--net=/proc/{first_process(pod)}/ns/net", "iptables")
    for place in CUT:
        on_node(pod, *network, "--insert", *place, "--jump", "DROP")
    try:
        time.sleep(SECONDS)
    finally:
        for place in CUT:
            on_node(pod, *network, "--delete", *place, "--jump", "DROP")


def restart_pool(pods: Pods) -> None:
    pods.kubectl("rollout", "restart", "deployment/shop-worker-default")
    pods.kubectl("rollout", "status", "deployment/shop-worker-default", f"--timeout={SECONDS_UNTIL_WHOLE}s")


def release(pods: Pods) -> None:
    """Another one: every pod of the app is made anew."""
    pods.describe({"app": {"env": {"SHOP_RELEASE": f"fault-{uuid.uuid4().hex[:8]}"}}})


def deploy(pods: Pods) -> None:
    release(pods)
    pods.upgrade()


def deploy_twice(pods: Pods) -> None:
    """Helm is lost in the middle of the first run, and goes back before it can go on."""
    release(pods)
    with pods.begin_upgrade() as helm:
        wait_for("the upgrade has begun", lambda: pods.state() == "pending-upgrade", SECONDS_UNTIL_WHOLE)
        time.sleep(RANDOM.uniform(*MIDDLE_OF_AN_UPGRADE))
        assert helm.poll() is None, "the upgrade has ended"
        helm.kill()
    pods.rollback()
    pods.upgrade()


def scale(pods: Pods) -> None:
    """KEDA brings more workers for a burst, and takes them away after it."""
    pods.shorten_lull("io")
    burst = pods.send_effects("burst", BURST, SECONDS_OF_A_BURST, queue="webhooks")
    wait_for("as many workers as may be", lambda: len(workers(pods)) == MOST, SECONDS_UNTIL_WHOLE)
    wait_for("as few as may be", lambda: len(workers(pods)) == LEAST, SECONDS_UNTIL_WHOLE)
    assert once(pods.all_effects(burst, SECONDS_UNTIL_A_LOST_MESSAGE_IS_BACK))


def workers(pods: Pods) -> list[Pod]:
    """Those of the pool that is scaled, and are ready or leave."""
    leaving = pods.leaving_pods("worker", "io")
    return leaving + [pod for pod in pods.pods("worker", "io") if is_ready(pod)]


def renew_certificates(pods: Pods) -> None:
    pods.renew_leaves(*COMPONENTS)
    for component in ("worker", "beat"):
        for pod in pods.pods(component):
            wait_until_mounted(pods, name_of(pod), pods.leaf(component))
    connect_anew(pods)


def change_ca(pods: Pods) -> None:
    pods.describe({"tls": {"kubernetes": {"generation": 2}}})
    pods.upgrade()
    wait_until_trusted(pods, trust(pods))
    for _ in ("every leaf is of the new one", "the old one is trusted no more"):
        step(pods)
        wait_until_trusted(pods, trust(pods))
        connect_anew(pods)


def change_passwords(pods: Pods) -> None:
    forget_passwords(pods)
    pods.describe({"broker": {"kubernetes": {"existingSecret": {"digest": uuid.uuid4().hex}}}})
    pods.upgrade()
    wait_until_taken(pods)
    connect_anew(pods)


FAULTS = (
    Fault[Pods]("none", lambda _: time.sleep(SECONDS)),
    Fault[Pods]("a pool restarts", restart_pool),
    Fault("a worker's pod is deleted", of_a_worker(delete)),
    Fault("a worker's pod is deleted by force", of_a_worker(delete_by_force)),
    Fault("a worker is evicted", of_a_worker(evict)),
    Fault("a worker is killed", of_a_worker(kill)),
    Fault("all children of a worker are killed", of_a_worker(kill_children)),
    Fault("a worker freezes", of_a_worker(freeze)),
    Fault("a worker hangs until it is restarted", of_a_worker(hang)),
    Fault("children of a worker end for want of memory", of_a_worker(run_out_of_memory)),
    Fault("a worker is cut off", of_a_worker(cut_off)),
    Fault("beat's pod is deleted", of("beat", delete)),
    Fault("beat's pod is deleted by force", of("beat", delete_by_force)),
    Fault("beat is killed", of("beat", kill)),
    Fault("beat hangs until it is restarted", of("beat", hang)),
    Fault("web is killed", of("web", kill)),
    Fault("Flower is killed", of("flower", kill)),
    Fault("Redis' pod is deleted", of("redis", delete)),
    Fault("Redis' pod is deleted by force", of("redis", delete_by_force)),
    Fault("Redis is killed", of("redis", kill)),
    Fault("Redis freezes", of("redis", freeze)),
    Fault("Redis is cut off", of("redis", cut_off)),
    Fault("PostgreSQL's pod is deleted", of("postgresql", delete)),
    Fault("PostgreSQL's pod is deleted by force", of("postgresql", delete_by_force)),
    Fault("PostgreSQL is killed", of("postgresql", kill)),
    Fault("PostgreSQL is cut off", of("postgresql", cut_off)),
    Fault("a release is deployed", deploy),
    Fault("it is rolled back", Pods.take_back),
    Fault("an upgrade is killed, and run again", deploy_twice),
    Fault("a pool is scaled out and in", scale),
    Fault("every certificate is renewed", renew_certificates),
    Fault("another CA", change_ca),
    Fault("other passwords of Redis", change_passwords),
)


def scene() -> Scene[Pods]:
    return Scene("kubernetes", FAULTS, deployed)
