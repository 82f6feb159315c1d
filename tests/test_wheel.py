"""The wheel, installed where nothing of this checkout is, has everything in it and starts."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest

from bridge.web.views import PAGES

ROOT = Path(__file__).parent.parent
#: What is no module and must be there all the same.
BROUGHT = {
    "bridge/store/schema.sql",
    "bridge/store/triggers_sqlite.sql",
    "bridge/sandbox/demo.toml",
    "bridge/sandbox/templates/page.html",
    "bridge/sandbox/templates/parts.html",
    "bridge/sandbox/static/demo.css",
    "bridge/sandbox/static/demo.js",
    "bridge/sandbox/static/mark.svg",
    "bridge/web/templates/base.html",
    "bridge/web/templates/parts.html",
    *(f"bridge/web/templates/{name}.html" for name in PAGES if name != "leave"),
    "bridge/web/static/pages.css",
    "bridge/web/locale/connect.pot",
    *(f"bridge/web/locale/{language}/LC_MESSAGES/connect.po" for language in ("ar", "de", "es", "fr")),
    "bridge/py.typed",
}
READ = """
from importlib.resources import files
from bridge.app import catalogue
for name in {names}:
    package, _, rest = name.partition("/")
    assert (files(package) / rest).is_file(), name
assert files("bridge").joinpath("app.py").read_text("utf-8")
print(files("bridge"), *catalogue().sources, *catalogue().targets)
"""


def run(*words: str | Path, where: Path) -> subprocess.CompletedProcess[str]:
    plain = {name: value for name, value in os.environ.items() if not name.startswith(("BRIDGE_", "PYTHON"))}
    return subprocess.run(words, cwd=where, env=plain, capture_output=True, text=True, timeout=300)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built as an index would be given it."""
    folder = tmp_path_factory.mktemp("wheel")
    built = run(sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", folder, ROOT, where=folder)
    if built.returncode and re.search(r"No matching distribution|Connection|No module named pip", built.stderr):
        pytest.skip("needs pip and a package index, to fetch what builds it")
    assert built.returncode == 0, built.stderr[-2000:]
    [made] = folder.glob("*.whl")
    return made


@pytest.fixture(scope="module")
def bin_(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the programs are of an environment that has the wheel, and what it stands on borrowed from ours."""
    home = tmp_path_factory.mktemp("installed")
    venv.create(home, with_pip=True, symlinks=True)
    done = run(home / "bin" / "python", "-m", "pip", "install", "--quiet", "--no-deps", wheel, where=home)
    assert done.returncode == 0, done.stderr[-2000:]
    [packages] = home.glob("lib/python*/site-packages")
    # As a plain path: the .pth files in it are not read, so an editable install of this checkout does not count.
    (packages / "borrowed.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return home / "bin"


def test_it_holds_the_code_and_what_the_code_reads_and_nothing_else(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    assert set(names) >= BROUGHT
    assert {name.split("/")[0] for name in names} == {"bridge", "providers", "loyalty_bridge-0.1.0.dist-info"}
    kept = {
        path.relative_to(ROOT).as_posix() for room in ("bridge", "providers") for path in (ROOT / room).rglob("*.py")
    }
    assert {name for name in names if name.endswith(".py")} == kept
    assert not [name for name in names if name.endswith((".db", ".env", ".pyc"))]


def test_it_starts_where_nothing_of_this_checkout_is(bin_: Path, tmp_path: Path) -> None:
    told = run(bin_ / "loyalty-bridge", "--help", where=tmp_path)
    assert told.returncode == 0, told.stderr
    assert "demo" in told.stdout
    assert run(bin_ / "python", "-m", "bridge", "--version", where=tmp_path).stdout == "loyalty-bridge 0.1.0\n"
    read = run(bin_ / "python", "-c", READ.format(names=sorted(BROUGHT)), where=tmp_path)
    assert read.returncode == 0, read.stderr
    assert str(ROOT) not in read.stdout
    assert {"twitch", "gameball"} <= set(read.stdout.split())


def test_from_nothing_to_a_configuration_that_is_right(bin_: Path, tmp_path: Path) -> None:
    made = run(bin_ / "loyalty-bridge", "init", "--source", "shopify", "--target", "webhook", where=tmp_path)
    assert made.returncode == 0, made.stderr
    key = run(bin_ / "loyalty-bridge", "key", where=tmp_path).stdout.strip()
    signing = "whsec_" + "A" * 43 + "="
    values = {"BRIDGE_SECRET_KEY": key, "SIGNING_SECRET": signing, "WEBHOOK_SECRET": signing}
    values["SHOPIFY_WEBHOOK_SECRET"] = "only for this test"
    (tmp_path / ".env").write_text("".join(f"{name}={value}\n" for name, value in values.items()))
    right = run(bin_ / "loyalty-bridge", "check", "--env-file", ".env", where=tmp_path)
    assert right.returncode == 0, right.stderr
    assert "is right" in right.stdout
