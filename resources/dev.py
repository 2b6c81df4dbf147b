"""`make dev`: the Dagster UI with its daemon, and the auditor's site on the next port, over one home."""

import os
import signal
import subprocess
import sys
from pathlib import Path

from lsdata.dagster_home import ensure
from lsdata.settings import Settings


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
    running = [subprocess.Popen(command, env=os.environ) for command in commands]
    # A stop of this process stops both, however it is asked.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        os.wait()
    except KeyboardInterrupt:
        pass
    finally:
        for process in running:
            process.terminate()
        for process in running:
            process.wait(timeout=30)
    return 0


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 3000))
