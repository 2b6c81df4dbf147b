"""The one Spark session of this process, with Delta."""

import atexit
import os
import shutil
import sys
import tempfile
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from lsdata.errors import SettingError

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from lsdata.settings import Settings


def session(settings: "Settings") -> "SparkSession":
    """A local session in UTC that reads and writes Delta; the jars are those `make setup` has fetched.

    Raises:
        SettingError: the jars are not there.
    """
    return _session(settings.tools / "spark" / "jars", settings.scratch / "spark", settings.cores)


@cache
def _session(folder: Path, scratch: Path, cores: int) -> "SparkSession":
    jars = sorted(folder.glob("*.jar"))
    if not jars:
        raise SettingError(
            "LSDATA_TOOLS", found=f"no jars in {folder}", allowed="the jars of delta-spark", do="Run `make setup`."
        )
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    scratch.mkdir(parents=True, exist_ok=True)
    # The session's own tables are gone with it: another process must not find them.
    own = tempfile.mkdtemp(prefix="session-", dir=scratch)
    atexit.register(shutil.rmtree, own, ignore_errors=True)
    from pyspark.sql import SparkSession

    return (
        SparkSession.builder.master(f"local[{cores}]")
        .appName("lsdata")
        .config("spark.jars", ",".join(str(j) for j in jars))
        .config("spark.sql.extensions", "io.delta.sql.DeltaSparkSessionExtension")
        .config("spark.sql.catalog.spark_catalog", "org.apache.spark.sql.delta.catalog.DeltaCatalog")
        .config("spark.sql.session.timeZone", "UTC")
        .config("spark.sql.shuffle.partitions", str(cores))
        .config("spark.sql.warehouse.dir", f"{own}/warehouse")
        .config("spark.driver.extraJavaOptions", f'-Dderby.system.home="{own}" -Duser.timezone=UTC')
        .config("spark.local.dir", own)
        .config("spark.ui.enabled", "false")
        .getOrCreate()
    )
