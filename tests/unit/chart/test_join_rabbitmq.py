"""The chart's script before a node of a cluster of RabbitMQ starts, with a command line that notes what it is told."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tests.helm import CHART

NODES = [f"shop@shop-rabbitmq-{number}.nodes.teas.svc" for number in range(3)]
RABBITMQCTL = """#!/bin/sh
case $4 in
--timeout) grep -x "$3 .*" "$FOLDER/members" | cut -d ' ' -f 2 | grep . ;;
forget_cluster_node)
    echo "$3 forgets $5" >>"$FOLDER/told"
    [ -e "$FOLDER/asked" ] || { touch "$FOLDER/asked"; exit 69; }
    sed -i "s/^$3 .*/$3 false/" "$FOLDER/members" ;;
esac
"""


class Node:
    """The last of three, and the answers of others that run: whether it is a member of their cluster."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.data = folder / "data" / NODES[2]
        self.data.parent.mkdir()
        for name in ("bin", "etc/rabbitmq"):
            (folder / name).mkdir(parents=True)
        text = (CHART / "files" / "rabbitmq" / "join").read_text()
        (folder / "join").write_text(text.replace("/etc/stalk", f"{folder}/etc"))
        listed = [f"cluster_formation.classic_config.nodes.{number} = {node}" for number, node in enumerate(NODES, 1)]
        (folder / "etc/rabbitmq/rabbitmq.conf").write_text("\n".join(["log.console = true", *listed]) + "\n")
        for name, program in (("rabbitmqctl", RABBITMQCTL), ("sleep", "#!/bin/sh\n"), ("getent", "#!/bin/sh\n")):
            (folder / "bin" / name).write_text(program)
            (folder / "bin" / name).chmod(0o755)

    def join(self, **members: bool) -> list[str]:
        answers = {NODES[int(name[-1])]: str(member).lower() for name, member in members.items()}
        (self.folder / "members").write_text("".join(f"{node} {answer}\n" for node, answer in answers.items()))
        variables = {
            "PATH": f"{self.folder}/bin:{os.environ['PATH']}",
            "FOLDER": str(self.folder),
            "RABBITMQ_MNESIA_BASE": str(self.data.parent),
            "RABBITMQ_NODENAME": NODES[2],
        }
        subprocess.run(["sh", self.folder / "join"], env=variables, check=True)
        told = self.folder / "told"
        return told.read_text().splitlines() if told.exists() else []


@pytest.fixture
def node(tmp_path: Path) -> Node:
    return Node(tmp_path)


def test_the_first_nodes_ask_nobody_to_forget_them(node: Node) -> None:
    assert node.join() == []
    assert node.join(node0=False, node1=False) == []


def test_a_node_with_a_new_volume_is_forgotten_by_the_first_that_knows_it(node: Node) -> None:
    node.data.mkdir()
    (node.data / "left").touch()
    told = [f"{NODES[1]} forgets {NODES[2]}"]
    # The first time that it is asked it cannot.
    assert node.join(node0=False, node1=True) == 2 * told
    assert not node.data.exists()


def test_a_node_with_data_stays_a_member(node: Node) -> None:
    node.data.mkdir()
    (node.data / "schema.DAT").touch()
    assert node.join(node0=True, node1=True) == []
    (node.data / "schema.DAT").unlink()
    node.data.with_name(f"{node.data.name}.ran").touch()
    assert node.join(node0=True, node1=True) == []
    assert node.data.exists()


def test_nodes_whose_names_do_not_come_are_not_waited_for_for_ever(node: Node) -> None:
    getent = node.folder / "bin" / "getent"
    getent.write_text("#!/bin/sh\ncase $2 in shop-rabbitmq-2*) ;; *) exit 2 ;; esac\n")
    assert node.join() == []
