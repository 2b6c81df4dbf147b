"""The cost of a command: CPU-seconds, user and system, of its process and of all processes it has waited for."""

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median
from tempfile import TemporaryFile
from typing import TypedDict

_ENVIRON = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
"""Modules are compiled once, as where they are used: the first round compiles."""
ROOT = Path(__file__).resolve().parents[1]
UNIT = "CPU-s"
_BEGUN, _ENDED = "begun ", "ended "


class Result(TypedDict):
    """One comparison; `ratio` is ours / peer, the smaller the better."""

    name: str
    ours: float
    peer: float
    unit: str
    ratio: float
    goal: float


def compare(
    name: str,
    ours: Sequence[str],
    peer: Sequence[str],
    goal: float,
    rounds: int = 3,
    env: Mapping[str, str] | None = None,
) -> Result:
    """Medians over rounds in which both commands run one after the other, so that both see the same machine.

    Args:
        ours, peer: commands. If they print, the first word of their last line is what they found; it must be
            the same.
        goal: the ratio to reach.
        env: what is added to the environment.

    Raises:
        RuntimeError: a command failed, or the two did not find the same.
    """
    costs: list[list[float]] = []
    found: set[str] = set()
    for _ in range(rounds):
        costs.append([])
        for command in (ours, peer):
            seconds, told = _run(command, env or {})
            costs[-1].append(seconds)
            found.add(told)
    if len(found) > 1:
        raise RuntimeError(f"{name}: not the same was found: {', '.join(sorted(found))}")
    cost, other = map(median, zip(*costs, strict=True))
    return Result(name=name, ours=cost, peer=other, unit=UNIT, ratio=cost / other, goal=goal)


def python(module: str, *arguments: str) -> list[str]:
    """The command that runs a module of this repository."""
    return [sys.executable, "-m", module, *arguments]


def begin() -> None:
    """Called in a command: what it has cost up to here (imports, preparation) does not count."""
    print(f"{_BEGUN}{sum(os.times()[:4])}", flush=True)


def end() -> None:
    """Called in a command: what it costs from here on (freeing what it has imported) does not count."""
    print(f"{_ENDED}{sum(os.times()[:4])}", flush=True)


def _run(command: Sequence[str], env: Mapping[str, str]) -> tuple[float, str]:
    with TemporaryFile("w+") as out, TemporaryFile("w+") as err:
        process = subprocess.Popen(command, stdout=out, stderr=err, cwd=ROOT, env={**_ENVIRON, **env})
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        out.seek(0)
        err.seek(0)
        lines = out.read().splitlines()
        if process.returncode:
            raise RuntimeError(f"{' '.join(command)}: exit code {process.returncode}\n{err.read()[-2_000:]}")
    begun = [float(line.removeprefix(_BEGUN)) for line in lines if line.startswith(_BEGUN)]
    ended = [float(line.removeprefix(_ENDED)) for line in lines if line.startswith(_ENDED)]
    found = [line.split()[0] for line in lines if not line.startswith((_BEGUN, _ENDED)) and line.strip()]
    return (*ended, usage.ru_utime + usage.ru_stime)[0] - sum(begun), "".join(found[-1:])
