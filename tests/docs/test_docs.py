"""What the documentation says is so: every snippet runs, links lead somewhere, tree and settings are the real ones.

A page's blocks run in order over one small made-up lake: `python` in one namespace, `sql` in DuckDB from the lake's
folder, `bash` only where each command is one of `ALLOWED`. Two comments just before a block change that:
`<!-- not run: reason -->`, and `<!-- file: path -->`, which appends the block to a file in a copy of the repository,
where the page's commands then run.
"""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, get_args

import polars as pl
import pytest

from lsdata.catalog import genomics as g
from lsdata.lake.lake import Lake
from lsdata.settings import Area, Settings

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
BLOCK = re.compile(r"(?:^<!-- (not run|file): ([^\n]+) -->\n)?^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
SHOWN = {"text", "csv", "json"}
ALLOWED = re.compile(
    r"(LSDATA_(OPERATOR|REASON)=\S+ )*uv run ("
    r"lsdata (check|render|dictionary|lineage|drop|ledger)\b|"
    r"python -m sensors --register|"
    r"dagster asset materialize |"
    r"pytest tests/test_golden\.py )"
)

RUN, FAMILY = "20260105_A01234_0057_BHDEMOXX", ["DEMO01", "DEMO02", "DEMO03"]


@dataclass(frozen=True)
class Block:
    """A fenced block: its language and text, and the comment before it."""

    mark: str
    said: str
    language: str
    text: str

    @property
    def commands(self) -> list[str]:
        """The commands of a bash block, a line each."""
        lines = self.text.replace("\\\n", "").splitlines()
        return [line for line in lines if line and not line.startswith("#")]

    @property
    def runs(self) -> bool:
        return self.mark == "" and self.language not in SHOWN


def blocks(page: Path) -> list[Block]:
    return [Block(*(part or "" for part in found)) for found in BLOCK.findall(page.read_text())]


def names(pages: Sequence[Path]) -> list[str]:
    return [page.relative_to(ROOT).as_posix() for page in pages]


@pytest.fixture
def demo(graph: Any, lake: Lake, publish: Callable[..., Any]) -> Lake:
    """A lake with the demo's partitions in it, and made-up rows."""
    graph.runs = {RUN: [*FAMILY, "DEMO04"]}
    graph.cohorts = {"family": FAMILY, "all": [*FAMILY, "DEMO04"]}
    graph.deliver()
    graph.settle()
    # Made-up counts need not agree with each other, and the example of CONTRIBUTING divides them.
    manifest = lake.read(g.FASTQ_MANIFEST.key).with_columns(q30_bases=pl.col("bases") * 9 // 10).collect()
    publish(lake, g.FASTQ_MANIFEST, manifest)
    return lake


@pytest.fixture
def shell(demo: Lake, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Callable[[Path, Block], None]:
    """Runs a bash block in a copy of the repository (or the repository), with this environment's executables."""
    for name in [n for n in os.environ if n.startswith(("LSDATA_", "DAGSTER_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("LSDATA_HOME", str(settings.home))
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")

    def run(code: Path, block: Block) -> None:
        for command in block.commands:
            assert ALLOWED.match(command), f"neither allowed nor marked as not run: {command}"
        # What `uv run` adds to a command is the environment, which is this one.
        script = 'uv() { shift; "$@"; }\n' + block.text
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", script],
            cwd=code, env={**os.environ, "PYTHONPATH": str(code)}, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, f"{block.text}\n{done.stdout}\n{done.stderr}"

    return run


def copied(folder: Path) -> Path:
    """A copy of the repository's files as they are now."""
    for name in _tracked("--others", "--exclude-standard"):
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)
    return folder


def _tracked(*more: str) -> list[str]:
    listed = subprocess.run(
        ["git", "ls-files", "--cached", *more], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return listed.stdout.splitlines()


@pytest.mark.parametrize("page", PAGES, ids=names(PAGES))
def test_every_block_runs_or_says_why_not(page: Path) -> None:
    for block in blocks(page):
        assert block.language in {"python", "bash", "sql", *SHOWN}, f"unknown language: {block.text}"
        if block.runs and block.language == "bash":
            assert [c for c in block.commands if not ALLOWED.match(c)] == []
    assert page.read_text().count("```") == 2 * len(blocks(page))


RUNNING = [page for page in PAGES if any(block.runs for block in blocks(page))]


@pytest.mark.parametrize("page", RUNNING, ids=names(RUNNING))
def test_the_snippets_of_a_page_run(
    page: Path, demo: Lake, shell: Callable[[Path, Block], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = blocks(page)
    code = copied(tmp_path / "code") if any(block.mark == "file" for block in found) else ROOT
    monkeypatch.chdir(demo.tables.root)
    namespace: dict[str, Any] = {"__name__": "__main__"}
    for block in found:
        if block.mark == "file":
            path = code / block.said
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("a") as file:
                file.write(("\n\n" if path.stat().st_size else "") + block.text)
        elif block.runs and block.language == "bash":
            shell(code, block)
        elif block.runs and block.language == "python":
            exec(compile(block.text, str(page), "exec"), namespace)
        elif block.runs:
            _query(block.text)


def _query(sql: str) -> None:
    import duckdb
    from duckdb_extensions import import_extension

    import_extension("delta")
    with duckdb.connect() as connection:
        connection.execute("load delta")
        connection.execute(sql).fetchall()


@pytest.mark.parametrize("page", PAGES, ids=names(PAGES))
def test_links_lead_to_files(page: Path) -> None:
    links = [link for link in re.findall(r"\]\(([^)\s]+)\)", page.read_text()) if "://" not in link]
    assert [link for link in links if not (page.parent / link.partition("#")[0]).exists()] == []


def test_every_page_is_listed_in_the_index() -> None:
    index = (ROOT / "docs" / "index.md").read_text()
    pages = {p.relative_to(ROOT / "docs").as_posix() for p in PAGES if p.is_relative_to(ROOT / "docs")} - {"index.md"}
    assert sorted(p for p in pages if f"({p})" not in index) == []


def test_the_tree_of_the_readme_is_the_real_one() -> None:
    tree = next(b.text for b in blocks(ROOT / "README.md") if "definitions.py" in b.text)
    told = list(_entries(tree))
    files = [Path(name) for name in _tracked()]
    top = {f"{path.parts[0]}/" for path in files if len(path.parts) > 1}
    top |= {path.name for path in files if len(path.parts) == 1 and path.suffix == ".py"}
    rooms = {path.parts[1] + "/" * (len(path.parts) > 2) for path in files if path.parts[0] == "lsdata"}
    assert sorted(told) == sorted(top | {f"lsdata/{room}" for room in rooms - {"__init__.py"}})


def _entries(tree: str) -> Iterator[str]:
    folder = ""
    for line in tree.splitlines():
        name, doc = re.split(r"\s{2,}", line.strip(), maxsplit=1)
        assert doc
        folder = folder if line.startswith(" ") else ""
        yield folder + name
        folder = folder or name


def test_the_settings_table_of_the_readme_is_complete() -> None:
    first_cells = re.findall(r"^\|([^|]*)\|", (ROOT / "README.md").read_text(), re.MULTILINE)
    table = {name for cell in first_cells for name in re.findall(r"`(LSDATA_\w+)`", cell)}
    known = {f"LSDATA_{field.name.upper()}" for field in fields(Settings)} - {"LSDATA_URLS", "LSDATA_AZURE"}
    known |= {f"LSDATA_{area.upper()}_URL" for area in get_args(Area)}
    assert table == known | {"LSDATA_POSTGRES_URL"}


def test_the_genomics_page_names_every_dataset() -> None:
    page = (ROOT / "docs" / "genomics.md").read_text()
    declared = [value.key for value in vars(g).values() if hasattr(value, "primary_key")]
    assert [key for key in declared if f"`{key}`" not in page] == []
