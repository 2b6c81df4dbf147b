"""What a person sees: the running Dagster UI and the auditor's site, in headless Chromium."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]

pytestmark = [
    pytest.mark.skipif(not shutil.which("chromium"), reason="chromium is not installed: run `make setup`"),
    pytest.mark.timeout(300),
]


def _free_ports() -> int:
    """A port that is free, and whose neighbour is."""
    for port in range(20000 + os.getpid() % 10000, 60000, 2):
        with socket.socket() as one, socket.socket() as two:
            try:
                one.bind(("127.0.0.1", port))
                two.bind(("127.0.0.1", port + 1))
            except OSError:
                continue
            return port
    raise AssertionError("no free ports")


def _ask(url: str, query: str | None = None) -> Any:
    body = json.dumps({"query": query}).encode() if query else None
    headers = {"content-type": "application/json"}
    with urllib.request.urlopen(urllib.request.Request(url, body, headers), timeout=30) as answer:
        return json.load(answer) if query else answer.read().decode()


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """`make dev` over a small home in which a cohort list and a run folder have landed and been processed."""
    home = tmp_path_factory.mktemp("home")
    folder = home / "landing" / "sequencing" / "delivery"
    folder.mkdir(parents=True)
    (folder / "SampleSheet.csv").write_text("[Data]\nSample_ID\nS1\n")
    (folder / "CopyComplete.txt").touch()
    (home / "landing" / "cohorts.csv").write_text("cohort_id,sample_id\nfamily,S1\n")
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("LSDATA_", "DAGSTER_"))}
    env = {**kept, "LSDATA_HOME": str(home)}
    subprocess.run([sys.executable, "-m", "sensors"], cwd=ROOT, env=env, check=True, capture_output=True)
    number = _free_ports()
    with (home / "dev.log").open("w") as log:
        running = subprocess.Popen(
            [sys.executable, "-m", "resources.dev", str(number)], cwd=ROOT, env=env, stdout=log, stderr=log
        )
        try:
            for _ in range(240):
                try:
                    _ask(f"http://127.0.0.1:{number}/server_info")
                    _ask(f"http://127.0.0.1:{number + 1}/")
                    break
                except OSError:
                    time.sleep(0.5)
            yield number
        finally:
            running.send_signal(signal.SIGTERM)
            running.wait(timeout=60)


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    for argument in (
        "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
        "--disable-background-networking", "--disable-component-update", "--window-size=1500,1200",
        f"--user-data-dir={tmp_path_factory.mktemp('profile')}",
    ):  # fmt: skip
        options.add_argument(argument)
    driver = webdriver.Chrome(options=options, service=Service(shutil.which("chromedriver")))
    yield driver
    driver.quit()


def _text(browser: Any, wanted: str) -> str:
    """The page's text, once what is wanted is on it; after half a minute, whatever is there."""
    from selenium.webdriver.common.by import By

    for _ in range(60):
        text = browser.find_element(By.TAG_NAME, "body").text
        if wanted in text:
            return text
        time.sleep(0.5)
    return browser.find_element(By.TAG_NAME, "body").text


def test_code_location_loads_in_the_running_ui(port: int):
    query = """{workspaceOrError{... on Workspace{locationEntries{locationOrLoadError{__typename
               ... on PythonError{message}}}}}}"""
    told = _ask(f"http://127.0.0.1:{port}/graphql", query)
    entry = told["data"]["workspaceOrError"]["locationEntries"][0]["locationOrLoadError"]
    assert entry == {"__typename": "RepositoryLocation"}


def test_sensors_run_by_default(port: int):
    query = """{sensorsOrError(repositorySelector:{repositoryName:"__repository__",repositoryLocationName:"lsdata"}){
               ... on Sensors{results{name sensorState{status}}}}}"""
    told = _ask(f"http://127.0.0.1:{port}/graphql", query)
    states = {s["name"]: s["sensorState"]["status"] for s in told["data"]["sensorsOrError"]["results"]}
    assert "genomics_run_id" in states
    assert set(states.values()) == {"RUNNING"}


def test_ui_shows_columns_with_phi_tags_and_checks(port: int, browser: Any):
    browser.get(f"http://127.0.0.1:{port}/assets/bronze/genomics/subjects")
    text = _text(browser, "phenotype_note")
    assert "phenotype_note" in text
    assert "free_text" in text
    browser.get(f"http://127.0.0.1:{port}/assets/bronze/genomics/sequencing_runs?view=checks")
    text = _text(browser, "primary_key")
    assert "primary_key" in text
    assert "input_accepted" in text


def test_auditors_site_is_served_beside_it(port: int, browser: Any):
    browser.get(f"http://127.0.0.1:{port + 1}/")
    text = _text(browser, "verifies")
    assert "verifies" in text
    assert "sequencing_runs" in text
