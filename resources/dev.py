"""`make dev`: the Dagster UI with its daemon, and the auditor's site on the next port, over one home."""

import contextlib
import os
import signal
import subprocess
import sys
from pathlib import Path

from lsdata.dagster_home import ensure
from lsdata.settings import Settings

_GRACE_SECONDS = 15


def _stop(*_: object) -> None:
    raise KeyboardInterrupt


def main(port: int) -> int:
    """Run both until one ends or the user interrupts; then end both."""
    settings = Settings.read()
    ensure(settings.home)
    beside = Path(sys.executable).parent
    commands = [
        [str(beside / "dagster"), "dev", "-w", "workspace.yaml", "-p", str(port)],
        [str(beside / "lsdata"), "serve", "--port", str(port + 1)],
    ]
    print(f"Dagster UI: http://127.0.0.1:{port}  auditor's site: http://127.0.0.1:{port + 1}", flush=True)
    # Each command has a process group: Dagster's own children are stopped with it.
    os.environ.setdefault("LSDATA_SITE_URL", f"http://127.0.0.1:{port + 1}")
    running = [subprocess.Popen(command, env=os.environ, start_new_session=True) for command in commands]
    for asked in (signal.SIGTERM, signal.SIGINT):
        signal.signal(asked, _stop)
    with contextlib.suppress(KeyboardInterrupt):
        os.wait()
    for sent in (signal.SIGINT, signal.SIGKILL):
        for process in running:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, sent)
        with contextlib.suppress(subprocess.TimeoutExpired):
            for process in running:
                process.wait(timeout=_GRACE_SECONDS)
            break
    return 0


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 3000))
