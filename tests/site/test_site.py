"""The auditor's site of a tiny lake: pages, what may be served, and the way from a column down to a landing file."""

import hashlib
import json
import re
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from html.parser import HTMLParser
from http.client import HTTPConnection
from itertools import pairwise
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urljoin
from uuid import uuid4

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lsdata.catalog import Dataset, FileKind
from lsdata.catalog.genomics import COHORTS, JOINT_CALLS, RUN_REPORTS, SEQUENCING_RUNS, SUBJECTS
from lsdata.derived import arrow
from lsdata.errors import SettingError
from lsdata.lake.lake import Act, Lake, Made
from lsdata.lake.ledger import merkle_root, prove_inclusion
from lsdata.lake.quarantine import Reject
from lsdata.lake.state import Input
from lsdata.settings import Settings
from lsdata.site.build import PAGE, Tree, build
from lsdata.site.graph import Box, draw
from lsdata.site.serve import server

ACT = Act(operator="a.meyer", reason="first <delivery>", run_id="run-1", git_commit="0" * 40)
PHI = {"patient_id": "PAT-7781", "name": "Erika Mustermann", "zip": "99423", "mrn": "MRN-4711"}
REPORT = b"<!doctype html><title>MultiQC</title><p id=report>all samples</p>"
_EMPTY: dict[str, Any] = {"string": "x", "int64": 0, "int32": 1, "float64": 0.5, "bool": True}


def rows(dataset: Dataset, *values: dict[str, Any]) -> pl.DataFrame:
    """Rows of a dataset; required columns that are not named get some value."""
    filled = [{c.name: None if c.nullable else _EMPTY[c.type] for c in dataset.columns} | v for v in values]
    return pl.DataFrame(filled, schema=arrow.polars_schema(dataset))


def publish(
    lake: Lake, dataset: Dataset, frame: pl.DataFrame, *inputs: Input, partition: str = "", **files: bytes
) -> None:
    with lake.staging(dataset.key) as staging:
        names = [name.replace("_html", ".html") for name in files]
        for name, content in zip(names, files.values(), strict=True):
            (staging.folder(partition) / name).write_bytes(content)
        made = {partition: Made(inputs=inputs, fingerprint="f", files=tuple(names))}
        lake.publish(dataset, frame, made, ACT, lambda *_: (), staging)


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    """Cohorts, runs, subjects with PHI, a call set made from cohorts, a report, and refused input."""
    lake = Lake(Settings(home=tmp_path / "home"))
    landed = Input(key="landing", version=None, files={"cohorts.csv": hashlib.sha256(b"cohorts").hexdigest()})
    publish(lake, COHORTS, rows(COHORTS, {"cohort_id": "trio", "sample_id": "S1"}), landed)
    publish(lake, SEQUENCING_RUNS, rows(SEQUENCING_RUNS, {"run_id": "run & co", "state": "ready"}))
    with_report = replace(SUBJECTS, files=(FileKind(name="*.html", format="HTML", doc="A report."),))
    publish(lake, with_report, rows(SUBJECTS, {"sample_id": "S1", **PHI}), who_html=PHI["name"].encode())
    cohorts = lake.state().partitions(COHORTS.key)[""]
    used = Input(key=COHORTS.key, version=cohorts.version, partitions={"": cohorts.sha256})
    publish(lake, JOINT_CALLS, rows(JOINT_CALLS, {"cohort_id": "trio"}), used, partition="trio")
    publish(
        lake, RUN_REPORTS, rows(RUN_REPORTS, {"run_id": "run & co"}), partition="run & co", multiqc_report_html=REPORT
    )
    told = {"where": "landing", "found": PHI["mrn"], "allowed": "a table", "do": "Correct it."}
    lake.quarantine.replace("genomics", "subjects", "", [Reject(name=PHI["name"], code="bad_row", **told)])
    lake.quarantine.replace(
        "genomics", "sequencing_runs", "", [Reject(name="r9", code="run_info", **told | {"found": "no RunInfo"})]
    )
    return lake


@contextmanager
def served(lake: Lake) -> Iterator[int]:
    """The port of a running site."""
    with server(lake, 0) as running:
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield int(running.server_address[1])
        finally:
            running.shutdown()
            thread.join()


def get(port: int, path: str) -> tuple[int, str]:
    """Status and text of an address, sent as it is."""
    connection = HTTPConnection("127.0.0.1", port)
    connection.request("GET", path)
    answer = connection.getresponse()
    text = answer.read().decode()
    connection.close()
    return answer.status, text


class Links(HTMLParser):
    """All addresses a page names, and the places in it."""

    def __init__(self, text: str):
        super().__init__()
        self.links: list[str] = []
        self.ids: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        self.links += [v for k in ("href", "src", "data-proof") if (v := found.get(k)) and not v.startswith("data:")]
        self.ids.add(found.get("id") or "")


# -- pages ------------------------------------------------------------------------------------------------------------


def test_home_tells_what_is_in_the_lake(lake: Lake, tmp_path: Path) -> None:
    text = build(lake, tmp_path / "out").read_text()
    assert "verifies" in text
    assert lake.ledger.verify().root in text
    assert re.search(r"joint_calls</b>.*?<td class=\"number\">1</td><td class=\"number\">1</td>", text, re.DOTALL)
    assert "first &lt;delivery&gt;" in text
    assert "no RunInfo" in text


def test_every_link_leads_somewhere(lake: Lake, tmp_path: Path) -> None:
    out = build(lake, tmp_path / "out").parent
    pages = {p.relative_to(out).as_posix(): Links(p.read_text()) for p in out.rglob("*.html")}
    broken = []
    for path, page in pages.items():
        for link in page.links:
            target, _, place = urljoin(f"http://x/{path}", link).removeprefix("http://x/").partition("#")
            target = unquote(target)
            there = target.startswith("files/") or (out / target).is_file()
            if not there or (place and unquote(place) not in pages[target].ids):
                broken.append((path, link))
    assert broken == []
    assert any(
        link.startswith("../../../../files/")
        for link in pages["partitions/silver/genomics/run_reports/run%20%26%20co@0.html"].links
    )


def test_a_publication_is_traced_to_its_landing_file(lake: Lake, tmp_path: Path) -> None:
    out = build(lake, tmp_path / "out").parent
    text = (out / "partitions/silver/genomics/joint_calls/trio@0.html").read_text()
    assert "landing/cohorts.csv" in text
    assert hashlib.sha256(b"cohorts").hexdigest() in text


def test_no_phi_value_is_in_any_page(lake: Lake, tmp_path: Path) -> None:
    out = build(lake, tmp_path / "out").parent
    texts = [p.read_text() for p in out.rglob("*") if p.is_file()]
    assert len(texts) > 100
    assert [value for value in PHI.values() for text in texts if value in text] == []


def test_a_rebuild_removes_what_is_gone_and_only_from_a_folder_of_its_own(lake: Lake, tmp_path: Path) -> None:
    out = build(lake, tmp_path / "out").parent
    (out / "proof" / "999.json").write_text("{}")
    build(lake, out)
    assert not (out / "proof" / "999.json").exists()
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "letter.txt").write_text("keep")
    with pytest.raises(SettingError, match="not of this site"):
        build(lake, tmp_path / "mine")
    assert (tmp_path / "mine" / "letter.txt").read_text() == "keep"


@pytest.mark.parametrize(("number", "found", "put"), [(-1, b"a.meyer", b"b.meyer"), (1, b'{"action"', b'["action"')])
def test_a_ledger_that_does_not_verify_is_shown_as_such(
    lake: Lake, tmp_path: Path, number: int, found: bytes, put: bytes
) -> None:
    changed = sorted(lake.settings.path("ledger").iterdir())[number]
    changed.write_bytes(changed.read_bytes().replace(found, put))
    text = build(Lake(lake.settings), tmp_path / "out").read_text()
    assert "does not verify" in text
    assert 'role="alert"' in text
    assert changed.name in (tmp_path / "out" / "ledger" / "index.html").read_text()


def test_a_ledger_that_is_changed_while_the_site_runs_stops_pages_that_need_it(lake: Lake) -> None:
    (_, some), *_ = lake.ledger.entries()
    lake.ledger.append_many(replace(some, id=uuid4().hex, action="grant") for _ in range(PAGE))
    with served(lake) as port:
        first = lake.settings.path("ledger") / "000000000000.jsonl"
        first.write_bytes(first.read_bytes().replace(b'{"action"', b'["action"'))
        status, text = get(port, "/entries/0.html")
        assert (status, "lsdata ledger verify" in text) == (500, True)


@given(st.lists(st.integers(1, 9), min_size=1, max_size=8))
def test_proofs_of_a_growing_tree_are_those_of_the_ledger(groups: list[int]) -> None:
    tree = Tree()
    for size in groups:
        tree.leaves += [hashlib.sha256(bytes([len(tree.leaves), n])).digest() for n in range(size)]
        tree.grow()
        assert tree.root == merkle_root(tree.leaves).hex()
        for index in range(len(tree.leaves)):
            assert tree.path(index) == [h.hex() for h in prove_inclusion(tree.leaves, index)]


@given(
    st.integers(1, 25).flatmap(
        lambda n: st.tuples(st.just(n), st.sets(st.tuples(st.integers(0, n), st.integers(0, n))))
    )
)
def test_boxes_of_a_graph_never_overlap_and_lines_go_right(drawn: tuple[int, set[tuple[int, int]]]) -> None:
    count, pairs = drawn
    edges = [(str(a), str(b)) for a, b in sorted(pairs) if a < b < count]
    boxes = [Box(id=str(n), label=f"box {n}", above="bronze", kind="bronze", href="#") for n in range(count)]
    drawing = draw(boxes, edges)
    by_id = {b.id: b for b in drawing.boxes}
    assert all(by_id[line.source].x < by_id[line.target].x for line in drawing.lines)
    assert all(b.y >= 0 and b.y + b.height <= drawing.height and b.x + b.width <= drawing.width for b in boxes)
    places = sorted((b.x, b.y) for b in boxes)
    assert all(x1 != x2 or y2 - y1 >= 44 for (x1, y1), (x2, y2) in pairwise(places))


# -- serving ----------------------------------------------------------------------------------------------------------


def test_reports_are_served_and_nothing_else_of_the_disk(lake: Lake) -> None:
    here = "silver/genomics/run_reports/run%20%26%20co/multiqc_report.html"
    with served(lake) as port:
        assert get(port, f"/files/{here}") == (200, REPORT.decode())
        (lake.files.root / "secret.html").write_text("secret")
        for path in (
            "/files/bronze/genomics/subjects/who.html",  # in the file index, but of a PHI dataset
            "/files/secret.html", "/files/../keys/ledger.ed25519", "/files/%2e%2e/keys/ledger.ed25519", "/files/%00",
            f"/files/{here.replace('multiqc_report', '../run%20%26%20co/multiqc_report')}", "/files//etc/passwd",
            "/../../../etc/passwd", "/%2e%2e/%2e%2e/keys/ledger.ed25519", "//etc/passwd", "/%00", "/ledger/99.html",
            "/..%2f..%2fkeys/ledger.ed25519", "/static/../lsdata-site.json", "/lake/bronze/genomics/subjects",
            "/quarantine/genomics", "/partitions/", "/proof/9999.json", "/datasets/gold/genomics/nothing.html",
            "/partitions/bronze/genomics/cohorts/all@9.html", f"/partitions/{SUBJECTS.key}/../all@0.html",
        ):  # fmt: skip
            status, text = get(port, path)
            assert (status, "secret" in text, "root:" in text, "PRIVATE" in text) == (404, False, False, False), path
            assert not any(value in text for value in PHI.values()), path


def test_a_report_that_changed_since_it_was_published_is_not_served(lake: Lake) -> None:
    path = lake.file(RUN_REPORTS.key, "run & co", "multiqc_report.html")
    with served(lake) as port:
        path.write_bytes(REPORT.replace(b"all", b"no "))
        assert get(port, "/files/silver/genomics/run_reports/run%20%26%20co/multiqc_report.html")[0] == 409


def test_the_site_follows_the_ledger_and_the_quarantine(lake: Lake) -> None:
    with served(lake) as port:
        size = lake.ledger.size()
        assert get(port, f"/entries/{size}.html")[0] == 404
        publish(Lake(lake.settings), COHORTS, rows(COHORTS, {"cohort_id": "duo", "sample_id": "S2"}))
        told = {"where": "here", "found": "late news", "allowed": "none", "do": "Look."}
        lake.quarantine.replace("genomics", "cohorts", "", [Reject(name="cohorts.csv", code="late", **told)])
        assert "late news" in get(port, "/")[1]
        while get(port, f"/entries/{size}.html")[0] == 404:
            pass  # at most as long as the first build took
        assert "cohorts" in get(port, f"/partitions/bronze/genomics/cohorts/all@{1}.html")[1]
        proof = json.loads(get(port, "/proof/0.json")[1])
        assert (proof["size"], proof["root"]) == (size + 1, lake.ledger.verify().root)


def test_what_is_not_written_is_made_on_request(lake: Lake, tmp_path: Path) -> None:
    runs = {f"S{n:04d}": Made() for n in range(PAGE + 5)}
    frame = rows(JOINT_CALLS, *({"cohort_id": name} for name in runs))
    lake.publish(JOINT_CALLS, frame, runs, ACT, lambda *_: ())
    out = build(lake, tmp_path / "out").parent
    last = f"partitions/silver/genomics/joint_calls/S{PAGE + 4:04d}@1.html"
    assert not (out / last).exists()
    with served(lake) as port:
        assert get(port, f"/{last}")[0] == 200
        assert f"S{PAGE + 4:04d}" in get(port, "/partitions/silver/genomics/joint_calls/page-1.html")[1]


# -- in the browser ---------------------------------------------------------------------------------------------------

_CHROMIUM, _DRIVER = shutil.which("chromium"), shutil.which("chromedriver")


@dataclass
class Browser:
    """Chromium on the site: what a person does, and what stands on the page."""

    driver: Any
    address: str

    def open(self, path: str) -> None:
        self.driver.get(self.address + path)

    def click(self, css: str) -> None:
        self.driver.find_element("css selector", css).click()

    def text(self, css: str = "body") -> str:
        return self.driver.find_element("css selector", css).text

    def wait_for(self, text: str, css: str) -> None:
        from selenium.webdriver.support.ui import WebDriverWait

        WebDriverWait(self.driver, 20).until(lambda _: text in self.text(css))


@pytest.fixture
def browser(lake: Lake, tmp_path: Path) -> Iterator[Browser]:
    if not _CHROMIUM or not _DRIVER:
        pytest.skip("chromium and chromedriver are not installed (Debian: chromium, chromium-driver)")
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    options.binary_location = _CHROMIUM
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    for word in (
        "headless=new", "no-sandbox", "disable-gpu", "disable-quic", "no-first-run", "disable-background-networking",
        "disable-component-update", "disable-sync", "window-size=1280,900", f"user-data-dir={tmp_path / 'chromium'}",
    ):  # fmt: skip
        options.add_argument(f"--{word}")
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(_DRIVER))
    try:
        with served(lake) as port:
            yield Browser(driver, f"http://127.0.0.1:{port}/")
            told = [m for m in driver.get_log("browser") if m["level"] == "SEVERE"]
    finally:
        driver.quit()
    assert told == []


def test_one_can_click_from_a_gold_column_down_to_a_landing_file(browser: Browser) -> None:
    browser.open("")
    browser.click("a[href='datasets/gold/genomics/sample_qc.html']")
    browser.click("#column-sample_id td a")
    for step in ("silver/genomics/genotypes", "silver/genomics/joint_calls", "bronze/genomics/cohorts"):
        browser.click(f".graph a[data-id='{step}.sample_id']")
        assert browser.text("h1").endswith("sample_id")
        assert step in browser.text(".crumbs")
    browser.click(".graph a[data-id='landing:cohorts.csv']")
    assert "landing/cohorts.csv" in browser.text("main")
    assert hashlib.sha256(b"cohorts").hexdigest() in browser.text("main")


def test_one_can_click_from_a_silver_partition_down_to_a_landing_file(browser: Browser) -> None:
    browser.open("lineage.html")
    browser.click(".graph a[data-id='silver/genomics/joint_calls']")
    browser.click("a[href*='joint_calls/trio']")
    browser.click("a.landing-file")
    assert hashlib.sha256(b"cohorts").hexdigest() in browser.text("main")


def test_a_ledger_entry_is_verified_in_the_browser_and_a_false_one_is_found(browser: Browser, lake: Lake) -> None:
    browser.open("ledger/index.html")
    browser.click("button.all")
    count = lake.ledger.size()
    browser.wait_for(f"{count} of {count} ok", "button.all + output")
    browser.click("a[href$='entries/3.html']")
    browser.click("button.verify")
    browser.wait_for("✓ ok", "button.verify + output")
    for lie in ("getElementById('line').textContent += ' '", "querySelector('.verify').dataset.leaf = '00'",
                "querySelector('.verify').dataset.proof = '../proof/2.json'"):  # fmt: skip
        browser.open("entries/3.html")
        browser.driver.execute_script(f"document.{lie}")
        browser.click("button.verify")
        browser.wait_for("failed", "button.verify + output")


@pytest.mark.parametrize("width", [800, 1280])
def test_no_page_is_wider_than_the_window(browser: Browser, width: int) -> None:
    browser.driver.set_window_size(width, 900)
    for path in (
        "", "datasets/index.html", "datasets/silver/genomics/joint_calls.html", "lineage.html", "landing.html",
        "columns/gold/genomics/sample_qc/titv.html", "partitions/silver/genomics/joint_calls/trio@0.html",
        "ledger/index.html", "entries/0.html", "reports.html", "quarantine.html",
    ):  # fmt: skip
        browser.open(path)
        wide, window = browser.driver.execute_script("return [document.documentElement.scrollWidth, innerWidth]")
        assert wide <= window, path


def test_the_filter_of_the_dictionary_finds_columns(browser: Browser) -> None:
    browser.open("datasets/index.html")
    browser.driver.find_element("css selector", "input[type=search]").send_keys("kinship")
    shown = [row for row in browser.driver.find_elements("css selector", "#dictionary tbody tr") if row.is_displayed()]
    assert ["sample_qc" in row.text for row in shown] == [True]
