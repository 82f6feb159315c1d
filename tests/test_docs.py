"""What README.md and its like say is what the code does."""

from __future__ import annotations

import json
import re
import shlex
import tomllib
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
import pytest
import typer
import yaml

from bridge import env
from bridge.app import catalogue, read_config
from bridge.cli import app
from bridge.cli.blueprint import variable
from bridge.cli.catalogue import repeats
from bridge.cli.later import LATER
from bridge.config import TOP, tables
from bridge.config.rules import KEYS
from bridge.flows import steps
from bridge.kit import ConfigError, Rejected, Source, errors, standard_headers, states
from bridge.kit.fields import said
from bridge.store.rejections import KEPT
from bridge.worker import PROBES, SLOTS, SLOTS_IN_DOUBT
from providers import SOURCES, TARGETS
from tests.conftest import House

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text("utf-8")
HOUSE = (ROOT / "bridge" / "README.md").read_text("utf-8")
CONFIG = ROOT / "config"
PAGES = sorted(
    file for file in ROOT.rglob("*.md") if not {".venv", "node_modules", "v"} & set(file.relative_to(ROOT).parts)
)


def flat(text: str) -> str:
    """A page without its line ends, as it is read."""
    return re.sub(r"\s+", " ", text)


# --- providers ------------------------------------------------------------------------------------------------------


def rows(source: Source) -> Iterator[str]:
    """The README's rows about a source."""
    if not source.actions:
        yield f"| `{source.name}` | {source.title} | A | no | whatever bridge.toml describes |"
    for verb, action in source.actions.items():
        policy = action.policy
        word = "-" if policy is None else f"**forbidden**: {policy.text}" if policy.forbidden else policy.text
        again = "yes" if verb in source.rechecks else "no"
        yield f"| `{source.name}.{verb}` | {action.title} | {action.grade} | {again} | {word} |"


def test_every_action_stands_in_the_table_with_its_grade_and_policy() -> None:
    table = README[README.index("| action | what it is") :].split("\n\n")[0].splitlines()[2:]
    assert table == [row for source in SOURCES.values() for row in rows(source)]


def test_every_target_stands_in_the_table_with_what_doubt_does() -> None:
    table = README[README.index("| target | what it is") :].split("\n\n")[0].splitlines()[2:]
    told = []
    for one in TARGETS.values():
        options = ", ".join(f"`{option.name}`" for option in one.options)
        safe = repeats(one)
        asked = said(one.reconcile_after) if one.reconcile else "cannot be asked"
        told.append(f"| `{one.name}` | {one.title} | {options} | {safe} | {asked} |")
    assert table == told


def test_every_target_has_a_block_in_the_guide_with_what_to_set_and_a_try() -> None:
    guide = README[README.index("## Five minutes: with each loyalty API") : README.index("## Customers prove it")]
    blocks = dict(block.split("\n", 1) for block in guide.split("\n### ")[1:])
    assert list(blocks) == [one.title for one in TARGETS.values()]
    sample = SOURCES["shopify"].samples["order_paid"].values
    for one in TARGETS.values():
        block = blocks[one.title]
        assert re.findall(r"^\* \*\*(.+?)\*\*", block, re.MULTILINE) == ["Set", "`check --live` tells", "Try it:"]
        [tried] = [words for words in typed(block) if words[0] == "send"]
        assert tried[1:3] == ["shopify", "order_paid"]
        assert {word.partition("=")[0] for word in tried if "=" in word} <= sample.keys()
        own = {*(each.name for each in one.settings), *(each.name for each in one.options), *tables.TARGET_KEYS}
        told = set(re.findall(r"`([a-z_]+)(?: = [^`]+)?`", block)) - {"init", "send", "wait", "tell", "gather", "held"}
        assert told <= own, (one.name, told - own)
        variables = {variable(one.name, each) for each in one.settings}
        assert set(re.findall(r"`([A-Z_]{4,})`", block)) <= variables


def test_every_init_that_a_reader_types_writes_a_right_configuration(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = set[str]()
    for number, words in enumerate(words for words in typed(README) if words[0] == "init" and "--source" in words):
        folder = tmp_path / str(number)
        folder.mkdir()
        monkeypatch.chdir(folder)
        program()(words, prog_name="loyalty-bridge", standalone_mode=False)
        with pytest.raises(ConfigError) as found:
            read_config(env.read({"BRIDGE_CONFIG": str(folder / "config" / "bridge.toml")}))
        assert all("is read from the environment variable" in fault for fault in found.value.faults)
        seen |= {words[at + 1] for at, word in enumerate(words) if word == "--target"}
    assert seen >= {"gameball", "webhook", "voyado"}


@pytest.mark.parametrize("name", [*SOURCES, *TARGETS])
def test_every_setting_fact_and_option_has_a_meaning(name: str) -> None:
    found = catalogue()
    for one in [kind[name] for kind in (found.sources, found.targets) if name in kind]:
        assert one.title
        assert one.docs.startswith("https://")
        assert one.steps
        meanings = [(setting.name, setting.meaning) for setting in one.settings]
        if isinstance(one, Source):
            meanings += [(fact.name, fact.meaning) for action in one.actions.values() for fact in action.facts]
        else:
            meanings += [(option.name, option.meaning) for option in one.options]
        assert not [what for what, meaning in meanings if len(meaning) < 3]
    assert f"`{name}`" in (ROOT / "providers" / "README.md").read_text("utf-8")


# --- commands -------------------------------------------------------------------------------------------------------


def commands(group: click.Group, before: str = "") -> Iterator[str]:
    for name, one in group.commands.items():
        if one.hidden:
            continue
        if isinstance(one, click.Group):
            yield from commands(one, f"{before}{name} ")
        else:
            yield f"{before}{name}"


def program() -> click.Group:
    made: Any = typer.main.get_command(app)
    return made  # type: ignore[no-any-return]


def test_every_command_is_told_of() -> None:
    missing = [one for one in commands(program()) if f"loyalty-bridge {one}" not in README]
    assert not missing


def typed(page: str) -> Iterator[list[str]]:
    """What a page has its reader type after `loyalty-bridge`, word by word."""
    fenced = re.findall(r"^ *```[a-z]*\n(.*?)^ *```", page, re.DOTALL | re.MULTILINE)
    spans = re.findall(r"`([^`\n]+)`", re.sub(r"^ *```.*?^ *```", "", page, flags=re.DOTALL | re.MULTILINE))
    for line in [*"\n".join(fenced).replace("\\\n", " ").splitlines(), *spans]:
        if found := re.search(r"(?:^|\$ |/|&& |\s)loyalty-bridge ([a-z].*)", line):
            yield shlex.split(found[1].partition(" #")[0].partition(" && ")[0])


def test_everything_that_a_reader_is_told_to_type_exists() -> None:
    seen = 0
    for page in PAGES:
        for words in typed(page.read_text("utf-8")):
            one: Any = program().commands.get(words[0])
            assert one is not None, f"{page}: {words}"
            if isinstance(one, click.Group):
                one = one.commands[words[1]]
            known = {option for parameter in one.params for option in parameter.opts}
            given = {word.partition("=")[0] for word in words if word.startswith("--")}
            assert one.hidden or given <= known, f"{page}: {words}"
            seen += 1
    assert seen > 40


def test_what_is_not_in_this_version_is_said_in_one_list() -> None:
    listed = README[README.index("## Not in this version") : README.index("## Development")]
    assert not [name for name in LATER if f"`{name}`" not in listed]
    for name in ("trusted_proxies",):
        assert name in listed


# --- errors, states, schedules --------------------------------------------------------------------------------------


def subclasses(kind: type[BaseException]) -> Iterator[type[BaseException]]:
    for one in kind.__subclasses__():
        if one.__module__ == errors.__name__:
            yield one
            yield from subclasses(one)


def test_every_error_stands_in_the_tree_with_its_status() -> None:
    tree = str(errors.__doc__)
    for one in subclasses(errors.BridgeError):
        found = re.search(rf"─ {one.__name__}\b(.*)", tree)
        assert found, f"{one.__name__} is not in the tree of kit/errors.py"
        if issubclass(one, Rejected) and one is not Rejected:
            assert str(one.status) in found[1], one.__name__
        assert one.__doc__


def test_every_reason_of_a_rejection_is_explained_with_its_status() -> None:
    table = README[README.index("| reason | answered |") :].split("\n\n")[0]
    reasons = {one: one("").reason for one in subclasses(Rejected) if issubclass(one, Rejected)}
    for kind, reason in reasons.items():
        row = re.search(rf"^\| `{reason}` \| ([0-9, ]+) \| (.+) \|$", table, re.MULTILINE)
        assert row, reason
        assert str(kind.status) in row[1]
    assert len(reasons) == len(table.splitlines()) - 2


def test_every_state_stands_in_the_map_of_the_house() -> None:
    listed = HOUSE[HOUSE.index("## States") : HOUSE.index("## The store")]
    for machine in (states.DeliveryState, states.EvidenceState, states.ForwardState, states.ClaimState):
        for state in machine:
            assert f"`{state}`" in listed, state


def test_every_verdict_stands_in_the_map_of_the_house() -> None:
    assert not [verdict for verdict in steps.Verdict if f"`{verdict}`" not in HOUSE]


def test_the_retry_schedule_is_the_one_that_is_printed() -> None:
    printed = ", ".join(said(wait) for wait in steps.SCHEDULE)
    assert f"**{printed}**" in flat(README)
    assert f"after {PROBES[0]} s, then {PROBES[1]}, {PROBES[2]} and so on up to ten minutes" in flat(README)
    assert PROBES[-1] == 600
    assert f"{SLOTS} where a repeat is harmless, {SLOTS_IN_DOUBT} where it is not" in flat(HOUSE)
    assert f"the last {KEPT:,} are kept" in flat(README)


# --- metrics --------------------------------------------------------------------------------------------------------


async def test_every_metric_that_is_told_of_exists_and_the_other_way_round(house: House) -> None:
    page = (await house.client.get("/metrics")).text
    known = {line.split()[2] for line in page.splitlines() if line.startswith("# TYPE")}
    board = (CONFIG / "grafana.json").read_text("utf-8")
    drawn = set(re.findall(r"\bbridge_[a-z_]+", board))
    assert drawn == known
    assert set(re.findall(r"\bbridge_[a-z_]+", README)) <= known


def test_the_dashboard_is_one() -> None:
    board = json.loads((CONFIG / "grafana.json").read_text("utf-8"))
    assert len({panel["id"] for panel in board["panels"]}) == len(board["panels"])
    for panel in board["panels"]:
        assert panel["targets"][0]["datasource"]["uid"] == "${datasource}"
        assert panel["gridPos"]["x"] + panel["gridPos"]["w"] <= 24


# --- configuration --------------------------------------------------------------------------------------------------


def test_the_annotated_configuration_is_right() -> None:
    told = env.read({"BRIDGE_CONFIG": str(CONFIG / "bridge.toml")}, env_file=CONFIG / "env.example")
    config = read_config(told)
    assert not config.warnings
    assert len(config.rules) >= 3
    assert {one.provider.name for one in config.sources.values()} == set(SOURCES)
    assert {one.provider.name for one in config.targets.values()} == set(TARGETS)


def test_the_example_environment_holds_what_is_read_and_nothing_else() -> None:
    text = (CONFIG / "env.example").read_text("utf-8")
    given = set(re.findall(r"^(?:# )?([A-Z][A-Z_]+)=", text, re.MULTILINE))
    read = set(re.findall(r'"env:([A-Z_]+)"', (CONFIG / "bridge.toml").read_text("utf-8"))) - {"NAME"}
    own = {"BRIDGE_CONFIG", "BRIDGE_DATABASE_URL", "BRIDGE_SECRET_KEY", "BRIDGE_ACTOR", "BRIDGE_LOG"}
    assert given == read | own


def test_every_key_of_the_configuration_is_listed() -> None:
    page = (CONFIG / "README.md").read_text("utf-8")
    keys = {*TOP, *tables.SOURCE_KEYS, *tables.TARGET_KEYS, *tables.ADDRESSES, *KEYS}
    assert not [
        key for key in keys if f"`{key}`" not in page and f"[{key}]" not in page and f"[{key}.NAME]" not in page
    ]


def test_the_rules_in_the_readme_are_right(tmp_path: Path) -> None:
    head = """
    [source.shopify]
    webhook_secret = "env:SECRET"
    [target.webhook]
    url = "https://example.com/"
    secret = "env:KEY"
    """
    key = "whsec_" + "A" * 43 + "="
    where = re.findall(r"for example\n  `([^`]+)`", README)
    assert len(where) == 1
    for text in re.findall(r"```toml\n(.*?)```", README, re.DOTALL):
        for one in (text, re.sub(r'where = ".*"', lambda found: f"where = {json.dumps(where[0])}", text)):
            file = tmp_path / "bridge.toml"
            file.write_text(head + one)
            read_config(env.read({"BRIDGE_CONFIG": str(file), "SECRET": "a secret for tests", "KEY": key}))
    file.write_text(head + one.replace("50.0", "50"))
    with pytest.raises(ConfigError):
        read_config(env.read({"BRIDGE_CONFIG": str(file), "SECRET": "a secret for tests", "KEY": key}))


def test_litestream_copies_the_database_that_the_readme_names() -> None:
    told = yaml.safe_load((CONFIG / "litestream.yml").read_text("utf-8"))
    assert [one["path"] for one in told["dbs"]] == ["/var/lib/loyalty-bridge/bridge.db"]
    assert "sqlite:////var/lib/loyalty-bridge/bridge.db" in README


# --- what a reader runs ---------------------------------------------------------------------------------------------


def test_the_receiver_in_the_readme_verifies_our_calls() -> None:
    code = next(one for one in re.findall(r"```python\n(.*?)```", README, re.DOTALL) if "def verify" in one)
    there: dict[str, Any] = {}
    exec(code, there)
    old, new = "whsec_" + "B" * 43 + "=", "whsec_" + "A" * 43 + "="
    body = b'{"type":"points.earned"}'
    headers = standard_headers([new, old], "fwd_1", datetime.now(UTC), body)
    assert there["verify"](headers, body, [old]) == "fwd_1"
    assert there["verify"](headers, body, [new]) == "fwd_1"
    for given, secrets in ((body + b" ", [new]), (body, ["whsec_" + "C" * 43 + "="])):
        with pytest.raises(ValueError, match="not signed"):
            there["verify"](headers, given, secrets)
    stale = standard_headers([new], "fwd_1", datetime(2026, 1, 1, tzinfo=UTC), body)
    with pytest.raises(ValueError, match="too old"):
        there["verify"](stale, body, [new])


def test_whatever_the_pages_lead_to_is_there() -> None:
    for page in PAGES:
        text = page.read_text("utf-8")
        linked = [one for one in re.findall(r"\]\(([^)#\s]+)\)", text) if "://" not in one]
        named = re.findall(r"`((?:bridge|tests|providers|config)/[A-Za-z0-9_./-]+\.[a-z]+)`", text)
        for one in linked:
            assert (page.parent / one).exists(), f"{page.name}: {one}"
        for one in named:
            assert (ROOT / one).exists() or (ROOT / "bridge" / one).exists(), f"{page.name}: {one}"
    rooms = re.findall(r"`((?:web|flows|store|kit|config|cli)/[a-z_]+\.(?:py|sql))`", HOUSE)
    assert rooms
    assert not [one for one in rooms if not (ROOT / "bridge" / one).exists()]
    headings = {
        re.sub(r"[^a-z0-9 -]", "", one.lower()).replace(" ", "-") for one in re.findall(r"^#+ (.+)$", README, re.M)
    }
    assert set(re.findall(r"\]\(#([^)]+)\)", README)) <= headings


def test_one_line_runs_it_and_one_line_tests_it() -> None:
    lines = [one.strip() for one in re.findall(r"```sh\n(python3 -m venv [^\n]*)\n```", README)]
    assert len(lines) == 2
    run, test = lines
    assert run.endswith("/loyalty-bridge demo")
    assert test.endswith("/pytest")
    assert "re.search" in (ROOT / ".ci" / "run").read_text("utf-8")  # it runs this very line


def test_the_version_is_one() -> None:
    from bridge.app import VERSION

    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    assert project["version"] == VERSION
    assert f"## {VERSION}" in (ROOT / "CHANGELOG.md").read_text("utf-8")


def test_every_dependency_is_pinned_by_its_hash() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    own, tests = project["dependencies"], project["optional-dependencies"]["test"]
    for file, wanted in (("constraints.txt", own), ("constraints-test.txt", [*own, *tests])):
        text = (CONFIG / file).read_text("utf-8")
        pinned = re.findall(r"^([a-z0-9-]+)==(\S+) \\\n    --hash=sha256:", text, re.MULTILINE)
        names = {re.split(r"[\[<>=]", one)[0].lower() for one in wanted}
        assert names <= {name for name, _ in pinned}
        assert "://" not in text
    runtime = set(re.findall(r"^(\S+==\S+)", (CONFIG / "constraints.txt").read_text("utf-8"), re.MULTILINE))
    assert runtime <= set(
        re.findall(r"^(\S+==\S+)", (CONFIG / "constraints-test.txt").read_text("utf-8"), re.MULTILINE)
    )
