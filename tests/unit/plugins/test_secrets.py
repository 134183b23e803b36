"""The store of secrets, and the lookup over it in real runs of Ansible."""

from __future__ import annotations

import json
import os
import re
import stat
import subprocess
import sys
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import pytest
from ansible_collections.stalk.celery.plugins.module_utils.secrets_store import SecretError, SecretsStore
from bad_descriptions import ROOT

BIN = Path(sys.executable).parent
RANDOM = r"[A-Za-z0-9]{40}"


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def make(folder: str) -> str:
    return SecretsStore(Path(folder)).get("DATABASE_PASSWORD")


@pytest.mark.parametrize(
    "name",
    ["DJANGO_SECRET_KEY", "REDIS_PASSWORD_worker", "DATABASE_PASSWORD", "PKI_CA_PASSPHRASE", "FLOWER_COOKIE_SECRET"],
)
def test_what_stalk_owns_is_made_once(tmp_path: Path, name: str) -> None:
    store = SecretsStore(tmp_path / "state" / "secrets")
    value = store.get(name)
    assert re.fullmatch(RANDOM, value)
    assert store.get(name) == value
    assert [path.name for path in store.folder.iterdir()] == [name]
    assert mode(store.folder / name) == 0o600
    assert mode(store.folder) == mode(store.folder.parent) == 0o700


def test_an_open_folder_is_closed(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    SecretsStore(tmp_path).get("DATABASE_PASSWORD")
    assert mode(tmp_path) == 0o700


def test_the_first_user_of_flower_is_admin(tmp_path: Path) -> None:
    assert re.fullmatch(rf"admin:{RANDOM}", SecretsStore(tmp_path).get("flower-users"))
    assert re.fullmatch(rf"admin:{RANDOM}", SecretsStore(tmp_path, users="people").get("people"))


def test_given_before_stored_before_made(tmp_path: Path) -> None:
    (tmp_path / "DATABASE_PASSWORD").write_text("stored\n")
    assert SecretsStore(tmp_path, {"DATABASE_PASSWORD": "given\n"}).get("DATABASE_PASSWORD") == "given"
    assert SecretsStore(tmp_path).get("DATABASE_PASSWORD") == "stored"


def test_without_saving_nothing_is_left(tmp_path: Path) -> None:
    folder = tmp_path / "secrets"
    assert re.fullmatch(RANDOM, SecretsStore(folder).get("DATABASE_PASSWORD", save=False))
    assert not folder.exists()


def test_many_processes_agree(tmp_path: Path) -> None:
    folder = tmp_path / "secrets"
    with ProcessPoolExecutor(8) as pool:
        values = set(pool.map(make, [str(folder)] * 64))
    assert len(values) == 1
    assert [path.name for path in folder.iterdir()] == ["DATABASE_PASSWORD"]


def refusal(store: SecretsStore, name: str) -> str:
    with pytest.raises(SecretError) as error:
        store.get(name)
    text = str(error.value)
    assert "\n" not in text
    assert "; " in text
    return text


def test_what_stalk_does_not_own_is_asked_for(tmp_path: Path) -> None:
    assert refusal(SecretsStore(tmp_path), "STRIPE_KEY") == (
        f"secret STRIPE_KEY: is neither in the variable stalk_secrets nor in {tmp_path / 'STRIPE_KEY'}, "
        "and Stalk does not make it; add it to stalk_secrets (ansible-vault)"
    )


@pytest.mark.parametrize("name", ["../ca.key", "", "a b", ".hidden", "x" * 101, "a\nb", "/etc/passwd"])
def test_a_name_cannot_leave_the_folder(tmp_path: Path, name: str) -> None:
    assert "is no name of a secret" in refusal(SecretsStore(tmp_path), name)


@pytest.mark.parametrize("value", [5, None, True, ["a"], {"a": "b"}])
def test_a_given_value_is_text(tmp_path: Path, value: object) -> None:
    assert "is no text" in refusal(SecretsStore(tmp_path, {"STRIPE_KEY": value}), "STRIPE_KEY")


@pytest.mark.parametrize("value", ["", "\n"])
def test_an_empty_value_is_no_secret(tmp_path: Path, value: str) -> None:
    assert "is empty" in refusal(SecretsStore(tmp_path, {"STRIPE_KEY": value}), "STRIPE_KEY")
    (tmp_path / "DATABASE_PASSWORD").write_text(value)
    assert "is empty" in refusal(SecretsStore(tmp_path), "DATABASE_PASSWORD")


def test_files_that_cannot_be_used(tmp_path: Path) -> None:
    (tmp_path / "STRIPE_KEY").mkdir()
    (tmp_path / "MAPS_KEY").write_bytes(b"\xff\xfe")
    store = SecretsStore(tmp_path)
    assert "cannot be read (Is a directory)" in refusal(store, "STRIPE_KEY")
    assert "is not UTF-8 text" in refusal(store, "MAPS_KEY")
    with pytest.raises(SecretError) as error:
        store.all()
    assert len(str(error.value).splitlines()) == 2


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("")
    assert "cannot be read (Not a directory)" in refusal(SecretsStore(tmp_path / "state"), "DATABASE_PASSWORD")
    (tmp_path / "state").unlink()
    (tmp_path / "state").symlink_to("/proc/nowhere")
    assert "cannot be written" in refusal(SecretsStore(tmp_path / "state" / "secrets"), "DATABASE_PASSWORD")


def test_all_that_exist(tmp_path: Path) -> None:
    (tmp_path / "A").write_text("1\n")
    (tmp_path / ".A.123.draft").write_text("half")
    assert SecretsStore(tmp_path, {"B": "2"}).all() == {"A": "1", "B": "2"}
    assert SecretsStore(tmp_path / "nowhere").all() == {}


PLAY = """
- hosts: all
  gather_facts: false
  connection: local
  tasks:
    - ansible.builtin.copy:
        content: "{{ lookup('stalk.celery.secret', 'DATABASE_PASSWORD', 'flower-users') }}"
        dest: "FOLDER/{{ inventory_hostname }}"
        mode: "0600"
"""


def play(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    hosts = "\n".join(f"host{number}" for number in range(4))
    (folder / "hosts").write_text(f"[all]\n{hosts}\n[all:vars]\nansible_python_interpreter={sys.executable}\n")
    (folder / "play.yml").write_text(PLAY.replace("FOLDER", str(folder)))
    return subprocess.run(
        [str(BIN / "ansible-playbook"), "-i", folder / "hosts", folder / "play.yml", *arguments],
        env={**os.environ, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "ANSIBLE_NOCOLOR": "1"},
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )


def test_hosts_in_parallel_get_the_same_value(tmp_path: Path) -> None:
    run = play(tmp_path)
    assert run.returncode == 0, run.stdout
    values = {(tmp_path / f"host{number}").read_text() for number in range(4)}
    assert len(values) == 1
    assert re.fullmatch(rf"{RANDOM},admin:{RANDOM}", values.pop())
    assert sorted(path.name for path in (tmp_path / ".stalk" / "secrets").iterdir()) == [
        "DATABASE_PASSWORD",
        "flower-users",
    ]


def test_check_mode_leaves_nothing(tmp_path: Path) -> None:
    run = play(tmp_path, "--check")
    assert run.returncode == 0, run.stdout
    assert not (tmp_path / ".stalk").exists()


def test_given_secrets_come_from_the_vault(tmp_path: Path) -> None:
    (tmp_path / "password").write_text("vault")
    (tmp_path / "secrets.yml").write_text('stalk_secrets: {DATABASE_PASSWORD: "from {{ 1 + 1 }}", flower-users: "a:b"}')
    vault = ["--vault-password-file", str(tmp_path / "password")]
    subprocess.run(
        [str(BIN / "ansible-vault"), "encrypt", *vault, str(tmp_path / "secrets.yml")], check=True, capture_output=True
    )
    run = play(tmp_path, *vault, "-e", f"@{tmp_path / 'secrets.yml'}", "-e", f"stalk_state={tmp_path / 'elsewhere'}")
    assert run.returncode == 0, run.stdout
    assert (tmp_path / "host0").read_text() == "from 2,a:b"
    assert not (tmp_path / "elsewhere").exists()


@pytest.mark.parametrize(
    ("variables", "reason"),
    [
        ({"stalk_secrets": ["a"]}, "stalk_secrets: is no map; write `NAME: value` lines under it"),
        ({"stalk_secrets": {"DATABASE_PASSWORD": ""}}, "stalk_secrets.DATABASE_PASSWORD is empty; give it a value"),
        ({"stalk_secrets": "{{ nowhere }}"}, "stalk_secrets: "),
    ],
)
def test_the_lookup_says_what_is_wrong(tmp_path: Path, variables: dict[str, object], reason: str) -> None:
    run = play(tmp_path, "-e", json.dumps(variables))
    assert run.returncode != 0
    assert reason in run.stdout
    assert "Traceback" not in run.stdout + run.stderr
