"""Dagster's runs and events in a real PostgreSQL server: the whole way from a landed file to a published table."""

import os
import pwd
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, cast
from urllib.parse import quote

import pytest

from lsdata.lake.lake import Lake
from lsdata.settings import Settings

ROOT = Path(__file__).resolve().parents[2]
PASSWORD = "p@ss:w/rd %1"
BIN = max(Path("/usr/lib/postgresql").glob("*/bin/initdb"), default=None, key=lambda p: int(p.parts[-3]))

pytestmark = [
    pytest.mark.skipif(BIN is None, reason="no PostgreSQL server: apt-get install postgresql"),
    pytest.mark.timeout(300),
]


def _free_port() -> int:
    with closing(socket.socket()) as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """A server of this module's own, which asks for a password; as another user than root, whom it refuses."""
    tools, port = cast(Path, BIN).parent, _free_port()
    root = os.geteuid() == 0
    owner = pwd.getpwnam("postgres") if root else pwd.getpwuid(os.geteuid())
    # Not below pytest's folder, which only its owner may enter.
    folder = Path(tempfile.mkdtemp(prefix="lsdata-postgres-"))
    as_owner: dict[str, Any] = {"user": owner.pw_uid, "group": owner.pw_gid, "extra_groups": []} if root else {}
    secret = folder / "password"
    secret.write_text(PASSWORD)
    for path in (folder, secret):
        os.chown(path, owner.pw_uid, owner.pw_gid)

    def run(*command: str) -> None:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, **as_owner)
        assert done.returncode == 0, done.stdout + done.stderr

    data = str(folder / "data")
    server = (str(tools / "pg_ctl"), "-D", data, "-w")
    try:
        run(str(tools / "initdb"), "-D", data, "-U", "dagster", "--auth=scram-sha-256", f"--pwfile={secret}", "-N")
        options = f"-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories='' -c fsync=off"
        run(*server, "-l", str(folder / "log"), "-o", options, "start")
        try:
            yield f"postgresql://dagster:{quote(PASSWORD, safe='')}@127.0.0.1:{port}/postgres"
        finally:
            run(*server, "-m", "immediate", "stop")
    finally:
        shutil.rmtree(folder)


def _sensors(home: Path, url: str) -> str:
    env = {k: v for k, v in os.environ.items() if not k.startswith(("LSDATA_", "DAGSTER_"))}
    done = subprocess.run(
        [sys.executable, "-m", "sensors"], cwd=ROOT, capture_output=True, text=True, check=False,
        env={**env, "LSDATA_HOME": str(home), "LSDATA_POSTGRES_URL": url},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout + done.stderr


def test_runs_are_kept_in_postgres_and_its_password_nowhere_else(url: str, tmp_path: Path) -> None:
    import psycopg2

    (tmp_path / "landing").mkdir()
    (tmp_path / "landing/cohorts.csv").write_text("cohort_id,sample_id\nfam,A\nfam,B\n")
    told = _sensors(tmp_path, url)
    assert Lake(Settings(home=tmp_path)).read("bronze/genomics/cohorts").collect().height == 2
    told += (again := _sensors(tmp_path, url))
    assert "Nothing to do" in again, "what has been done is known from the database"

    with closing(psycopg2.connect(url)) as connection, connection.cursor() as cursor:
        cursor.execute("select status, count(*) from runs group by status")
        assert cursor.fetchall() == [("SUCCESS", 1)]
        cursor.execute('select count(*) from event_logs where asset_key = \'["bronze", "genomics", "cohorts"]\'')
        assert (cursor.fetchone() or (0,))[0] > 0
        cursor.execute("select partition from dynamic_partitions where partitions_def_name = 'cohort_id'")
        assert cursor.fetchall() == [("fam",)]

    home = tmp_path / "dagster"
    assert "env: LSDATA_POSTGRES_URL" in (home / "dagster.yaml").read_text()
    assert [p for p in home.rglob("*.db") if "runs" in p.name or "index" in p.name] == []
    for secret in (PASSWORD, quote(PASSWORD, safe="")):
        assert secret not in told
        files = [p for p in tmp_path.rglob("*") if p.is_file() and secret.encode() in p.read_bytes()]
        assert files == []
