"""The house is as bridge/README.md says: who may import whom, where SQL, network and clock stand, names, sizes."""

from __future__ import annotations

import ast
import importlib
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from bridge.kit import Source, Target
from providers import SOURCES, TARGETS

ROOT = Path(__file__).parent.parent
FILES = sorted([*(ROOT / "bridge").rglob("*.py"), *(ROOT / "providers").rglob("*.py")])

#: A file past this length is a sign that two rooms share a wall.
LONGEST = 300
#: Those that are longer, how long they may be, and why. The list shrinks: nothing is added to it, no number rises.
LONGER: Mapping[str, tuple[int, str]] = {
    "bridge/flows/tell.py": (340, "one attempt from lease to answer"),
    "bridge/kit/signatures.py": (510, "four schemes that share one shape; the fault texts could move out"),
    "bridge/store/forwards.py": (410, "all statements over forwards"),
    "bridge/flows/operate.py": (500, "all of an operator's verbs; link and grant could have files"),
    "bridge/worker.py": (400, "the loop with its breaker and rate, which could have a file"),
    "bridge/flows/ingest.py": (360, "the path of a webhook with the diagnosis of refused ones, which could move out"),
    "bridge/flows/consider.py": (360, "one transaction, told in one place"),
    "providers/loyalty/voyado.py": (510, "finding, counting, batching and proving; what answers mean could move out"),
    "providers/storefronts/shopify.py": (310, "refunds in two currencies, and samples"),
}

#: Names that say nothing of what a thing is.
EMPTY = {"manager", "service", "helper", "util", "common", "handler", "processor"}

STATEMENT = re.compile(r"\b(SELECT\s|INSERT\s+INTO\s|UPDATE\s+\w+\s+SET\s|DELETE\s+FROM\s)")
CLOCKS = {
    ("datetime", "now"), ("datetime", "utcnow"), ("datetime", "today"), ("date", "today"), ("time", "time"),
    ("time", "time_ns"), ("os", "urandom"), ("uuid", "uuid4"), ("uuid", "uuid1"),
}  # fmt: skip


def name(file: Path) -> str:
    return file.relative_to(ROOT).as_posix()


def tree(file: Path) -> ast.Module:
    return ast.parse(file.read_text("utf-8"))


def below(file: Path, *places: str) -> bool:
    return name(file).startswith(places)


def test_imports_go_down_and_never_sideways() -> None:
    program = Path(sys.executable).parent / "lint-imports"
    if not program.exists():
        pytest.skip("needs import-linter, which the test extra brings")
    done = subprocess.run([program, "--no-cache"], cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout


def test_sql_stands_in_the_store_alone() -> None:
    for file in FILES:
        if below(file, "bridge/store/"):
            continue
        texts = [node.value for node in ast.walk(tree(file)) if isinstance(node, ast.Constant)]
        found = [text for text in texts if isinstance(text, str) and STATEMENT.search(text)]
        assert not found, f"{name(file)}: {found}"


def test_only_talk_opens_connections_to_others() -> None:
    opened = {
        name(file)
        for file in FILES
        for node in ast.walk(tree(file))
        if isinstance(node, ast.Call)
        and re.fullmatch(r"(httpx2|httpcore2)\.\w*(Client|Pool|Connection)", ast.unparse(node.func))
    }
    # The sandbox plays the platforms, and must reach the bridge as they do: from outside.
    elsewhere = {one for one in opened if not one.startswith("bridge/talk")}
    assert elsewhere == {"bridge/sandbox/demo.py"}
    assert opened > elsewhere


def test_clocks_and_chance_are_arguments_below_the_doors() -> None:
    doors = ("bridge/app.py", "bridge/web/", "bridge/cli/", "bridge/sandbox/")
    for file in FILES:
        if below(file, *doors):
            continue
        for node in ast.walk(tree(file)):
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
                assert (node.value.id, node.attr) not in CLOCKS, f"{name(file)}:{node.lineno}: {ast.unparse(node)}"
            imported = set[str]()
            if isinstance(node, ast.Import):
                imported = {one.name for one in node.names}
            elif isinstance(node, ast.ImportFrom) and not node.level:
                imported = {str(node.module), *(f"{node.module}.{one.name}" for one in node.names)}
            bad = imported & {"secrets", "uuid", "time.time", "time.time_ns", "os.urandom"}
            assert not bad, f"{name(file)}: imports {bad}"


def test_nothing_behind_the_doors_knows_a_vendor() -> None:
    words = {"standard", "generic", "webhook", "oidc", "line", "x"}  # standards, and names that mean other things too
    vendors = {one.name for one in (*SOURCES.values(), *TARGETS.values())} - words
    for file in FILES:
        if below(file, "bridge/sandbox/", "bridge/cli/", "providers/"):  # the command line gives examples
            continue
        for number, line in enumerate(file.read_text("utf-8").splitlines(), 1):
            code = line.partition("#")[0].lower()
            said = set(re.findall(r"[a-z]+", code))  # whole words: `messenger` is a vendor, and `messengers` are not
            assert not said & vendors, f"{name(file)}:{number}: {line.strip()}"


def test_a_provider_is_a_value_in_one_file_and_in_the_one_registry() -> None:
    found: list[Source | Target] = []
    for file in sorted((ROOT / "providers").glob("*/*.py")):
        if file.stem.startswith("_"):  # `_name.py` holds what one or two providers beside it are made of
            continue
        module = importlib.import_module(f"providers.{file.parent.name}.{file.stem}")
        values = [getattr(module, kind) for kind in ("source", "target") if hasattr(module, kind)]
        assert values, f"{name(file)} holds neither a source nor a target"
        for value in values:
            assert (value.name, value.room) == (file.stem, file.parent.name), f"{name(file)}: {value.name}"
        found += values
    registered = [*SOURCES.values(), *TARGETS.values()]
    assert sorted(map(id, found)) == sorted(map(id, registered))
    elsewhere = [name(file) for file in FILES for one in assigned(tree(file)) if one in ("SOURCES", "TARGETS")]
    assert elsewhere == ["providers/__init__.py"] * 2


def assigned(module: ast.Module) -> Iterator[str]:
    for node in module.body:
        targets = (
            node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
        )
        yield from (target.id for target in targets if isinstance(target, ast.Name))


def test_names_say_what_a_thing_is() -> None:
    for file in FILES:
        named = [file.stem]
        for node in ast.walk(tree(file)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                named.append(node.name)
        for one in named:
            words = re.findall(r"[a-z]+", re.sub(r"(?<!^)(?=[A-Z])", "_", one).lower())
            assert not EMPTY & {word.removesuffix("s") for word in words}, f"{name(file)}: {one}"


def test_files_are_small_enough_to_read() -> None:
    long = {name(file): len(file.read_text("utf-8").splitlines()) for file in FILES}
    for file, lines in long.items():
        most, _ = LONGER.get(file, (LONGEST, ""))
        assert lines <= most, f"{file} has {lines} lines; at most {most}"
    short = [file for file in LONGER if long.get(file, 0) <= LONGEST]
    assert not short, f"no longer too long, take them off the list: {short}"


def test_every_module_says_what_it_is() -> None:
    assert not [name(file) for file in FILES if file.stat().st_size and not ast.get_docstring(tree(file))]
