"""docs/contract.md names the variables that the sample app reads, and which of them are secrets."""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from collections.abc import Iterator

import pytest
from bad_descriptions import ROOT

CONTRACT = ROOT / "docs" / "contract.md"
CODE = [ROOT / "sample_app" / name for name in ("celery_ops", "config", "shop", "manage.py")]
HEAD = "| variable | secret | meaning |"
# Functions of celery_ops.environment that say of a value what is wrong, and read none.
READ_NOTHING = ("url", "urls")
# What libraries read, and what tells where secrets are and who started the process.
OF_LIBRARIES = {
    *("PGSSLMODE", "PGSSLROOTCERT", "PGSSLCERT", "PGSSLKEY"),
    *("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "PYTHONUNBUFFERED"),
}
OF_THE_PLATFORM = {"CREDENTIALS_DIRECTORY", "NOTIFY_SOCKET"}


def documented(page: str) -> dict[str, bool]:
    """Each variable of the tables, and whether it is a secret."""
    found: dict[str, bool] = {}
    for table in page.split(HEAD)[1:]:
        for line in table.partition("\n\n")[0].splitlines()[2:]:
            names, secret = line.split("|")[1:3]
            found |= dict.fromkeys(re.findall(r"`([A-Z_]+)`", names), secret.strip() == "yes")
    return found


def texts(node: ast.expr) -> set[str]:
    """The constants of a text or of a tuple of texts."""
    parts = node.elts if isinstance(node, ast.Tuple) else [node]
    return {part.value for part in parts if isinstance(part, ast.Constant) and isinstance(part.value, str)}


def meanings(tree: ast.Module) -> dict[str, set[str]]:
    """The texts that each name of a module may stand for."""
    found: defaultdict[str, set[str]] = defaultdict(set)
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign):
            for target in node.targets:
                if isinstance(target, ast.Name):
                    found[target.id] |= texts(node.value)
    for node in ast.walk(tree):
        if isinstance(node, ast.comprehension | ast.For) and isinstance(node.target, ast.Name):
            of = found[node.iter.id] if isinstance(node.iter, ast.Name) else texts(node.iter)
            found[node.target.id] |= of
    return found


def reads(source: str) -> Iterator[tuple[set[str], bool]]:
    """Of each place that reads a variable: its possible names, and whether it is read as a secret."""
    tree = ast.parse(source)
    known = meanings(tree)
    for node in ast.walk(tree):
        if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.args):
            continue
        owner, function = ast.unparse(node.func.value), node.func.attr
        if owner == "os.environ" or (owner == "environment" and function not in READ_NOTHING):
            name = node.args[0]
            yield (known[name.id] if isinstance(name, ast.Name) else texts(name)), "secret" in function


def read_by_the_app() -> dict[str, bool]:
    found: dict[str, bool] = {}
    files = [file for place in CODE for file in ([place] if place.is_file() else place.rglob("*.py"))]
    for file in files:
        if file.name == "environment.py":
            continue
        for names, is_secret in reads(file.read_text()):
            assert names, f"{file}: a variable is read whose name this test cannot tell"
            found |= dict.fromkeys(names, is_secret)
    return found


def test_the_tables_have_every_variable_that_the_app_reads_and_no_other() -> None:
    told, read = documented(CONTRACT.read_text()), read_by_the_app()
    assert {name: is_secret for name, is_secret in told.items() if name not in OF_LIBRARIES} == {
        name: is_secret for name, is_secret in read.items() if name not in OF_THE_PLATFORM
    }


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("environment.text('ONE', 'default')", [({"ONE"}, False)]),
        ("environment.required_secret('ONE', 'give it')", [({"ONE"}, True)]),
        ("name = 'ONE'\nenvironment.secret(name)", [({"ONE"}, True)]),
        ("BOTH = ('ONE', 'TWO')\n[environment.readable_file(each) for each in BOTH]", [({"ONE", "TWO"}, False)]),
        ("os.environ.get('ONE', '')", [({"ONE"}, False)]),
        ("environment.url('ONE', (), value)", []),
        ("environment.text(unknown)", [(set(), False)]),
    ],
)
def test_a_reading_place_is_known(source: str, expected: list[tuple[set[str], bool]]) -> None:
    assert list(reads(source)) == expected
