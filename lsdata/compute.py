"""External tools as values: what to run (`Job`), where it runs (`Runner`), and what came of it (`JobResult`).

A `Job` knows no machine: inputs are URIs, outputs are relative file names, and the command names both by placeholder.
What a runner needs to know of its surroundings (scratch space, pool, credentials, labels of the calling step) is given
to its constructor, so that `check` and `run` are the same for a local process, Azure Batch and a WDL engine.

>>> job = Job(
...     name="sort",
...     image="debian:12-slim",
...     command="sort --parallel={cores} {inputs.names} | grep -v {parameters.without} > {outputs.sorted}",
...     inputs={"names": ("az://lake/a.txt", "az://lake/b.txt")},
...     outputs={"sorted": "sorted.txt"},
...     parameters={"without": "it's"},
...     tools={"sort": "sort --version"},
...     cores=2,
...     memory_mib=512,
...     minutes=1,
... )
>>> print(job.script({"names": ["/work/a b.txt", "/work/b.txt"]}).splitlines()[-1])
sort --parallel=2 '/work/a b.txt' /work/b.txt | grep -v 'it'"'"'s' > sorted.txt
"""

import fcntl
import hashlib
import os
import re
import select
import shlex
import shutil
import signal
import subprocess
import tempfile
import time
from collections import Counter, deque
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import IO, Protocol, cast
from urllib.parse import unquote, urlsplit

from lsdata.errors import DeclarationError, JobFailed, MissingData, SettingError

# `${name}` is bash's own, and `{print}` or `{1..5}` are left alone.
_PLACEHOLDER = re.compile(r"(?<!\$)\{(\w+\.\w+|cores|memory_mib)\}")
_JOB_NAME = re.compile(r"[A-Za-z0-9_.-]{1,63}")
_OUTPUT_NAME = re.compile(r"(?![-./])[\w.+=@-]+(/(?!\.)[\w.+=@-]+)*", re.ASCII)

# pipefail reports the last member that failed. When an earlier one was killed (out of memory, say), the later ones fail
# on its torn output, so the killed one is the cause; SIGPIPE (141) is a consequence and never the cause.
_PREAMBLE = (
    "set -o errexit -o pipefail -o nounset; "
    'trap \'for _s in "${PIPESTATUS[@]}"; do if ((_s > 128 && _s != 141)); then exit "$_s"; fi; done\' ERR\n'
)

_LINE_BYTES = 2_000
_TAIL_LINES = 40
_GRACE_SECONDS = 2.0
_FIRST_SAMPLE_SECONDS, _SAMPLE_SECONDS = 0.01, 0.2
_VERSION_SECONDS = 120

# Everything else in the parent's environment stays there: it may hold credentials. So may JAVA_TOOL_OPTIONS (a proxy's
# password), which a JVM also prints; JVM options belong in the job's command or env. SENTIEON_LICENSE names the place
# of a licence, not the licence, and is the machine's, so no Job can declare it.
_PASSED_ON = ("HOME", "JAVA_HOME", "LD_LIBRARY_PATH", "SENTIEON_LICENSE")


@dataclass(frozen=True)
class Input:
    """A file a job reads, with the files that must lie beside it under their own names (indexes, dictionaries).

    Args:
        uri: where the file is: `file://`, a plain path, or any URL of fsspec.
        companions: names of files in the same folder. A runner that copies the file copies them along.

    >>> Input("az://lake/ref/chr20.fa", companions=("chr20.fa.fai", "chr20.dict")).uris[1:]
    ('az://lake/ref/chr20.fa.fai', 'az://lake/ref/chr20.dict')
    """

    uri: str
    companions: tuple[str, ...] = ()

    @property
    def uris(self) -> tuple[str, ...]:
        """The file itself, then its companions."""
        folder, slash, _ = self.uri.rpartition("/")
        return (self.uri, *(f"{folder}{slash}{name}" for name in self.companions))


@dataclass(frozen=True, kw_only=True)
class Job:
    """One command of an external tool, with everything a runner must know to run it anywhere.

    The command is a bash script. `{inputs.NAME}`, `{outputs.NAME}` and `{parameters.NAME}` stand for shell-quoted
    values, so they stand outside quotes (`'@RG\\tID:'{parameters.id}`); `{cores}` and `{memory_mib}` for numbers. It
    starts in an empty folder, which is also its TMPDIR.

    Args:
        name: what is done (`align`): letters, digits, `_.-`, at most 63.
        image: container image for runners that have containers.
        command: bash; any failing command or pipe member fails the job.
        inputs: name → one input or several (in order; separated by spaces in the command). Loop over thousands through
            an array (`all=({inputs.vcfs})`): bash parses them in no time there, but takes seconds after `for … in`.
        outputs: name → relative file name. Each must exist and hold something at the end. A folder is packed with tar.
        parameters: name → literal value, one line.
        tools: executable → command whose first line of output is its version. The command runs without pipefail.
        env: additional environment; no secrets, they would be recorded.
        cores, memory_mib, gpus: what the command needs; memory in MiB.
        minutes: expected wall time, for planning.
        passing_exit_codes: failures that may not come again (128 + signal; KILL, TERM, and BUS for lost I/O).

    Raises:
        DeclarationError: the command and the declared names do not fit; lists every problem.
    """

    name: str
    image: str
    command: str
    inputs: Mapping[str, str | Input | Sequence[str | Input]]
    outputs: Mapping[str, str]
    tools: Mapping[str, str]
    cores: int
    memory_mib: int
    minutes: int
    parameters: Mapping[str, str] = field(default_factory=dict[str, str])
    env: Mapping[str, str] = field(default_factory=dict[str, str])
    gpus: int = 0
    passing_exit_codes: frozenset[int] = frozenset(
        128 + number for number in (signal.SIGKILL, signal.SIGTERM, signal.SIGBUS)
    )

    def __post_init__(self) -> None:
        if problems := list(self._problems()):
            raise DeclarationError(
                f"job {self.name}",
                found="; ".join(problems),
                allowed="a command whose placeholders are all declared, and declarations it uses",
                do="Correct the Job value.",
            )

    def files(self, name: str) -> tuple[Input, ...]:
        """The files of one input, in order."""
        given = self.inputs[name]
        several = (given,) if isinstance(given, str | Input) else given
        return tuple(one if isinstance(one, Input) else Input(one) for one in several)

    def script(self, paths: Mapping[str, Sequence[str]]) -> str:
        """The bash script to run in an empty folder: placeholders replaced by shell-quoted values.

        Args:
            paths: input name → where the runner has put its files. Outputs keep their relative names.

        Raises:
            DeclarationError: a value holds a line break, which could end a comment and become code.
        """
        words = {
            **{f"inputs.{name}": paths[name] for name in self.inputs},
            **{f"outputs.{name}": [file] for name, file in self.outputs.items()},
            **{f"parameters.{name}": [value] for name, value in self.parameters.items()},
        }
        if broken := [name for name, values in words.items() if any(set(value) & set("\n\r\0") for value in values)]:
            raise DeclarationError(
                f"job {self.name}",
                found=f"line breaks in {', '.join(broken)}",
                allowed="values of one line",
                do="Pass several lines as an input file.",
            )
        values = {name: shlex.join(several) for name, several in words.items()}
        values |= {"cores": str(self.cores), "memory_mib": str(self.memory_mib)}
        return _PREAMBLE + _PLACEHOLDER.sub(lambda match: values[match[1]], self.command)

    def _problems(self) -> Iterator[str]:
        given = [f"inputs.{name}" for name in self.inputs] + [f"parameters.{name}" for name in self.parameters]
        used = Counter(_PLACEHOLDER.findall(self.command))
        known = {*given, *(f"outputs.{name}" for name in self.outputs), "cores", "memory_mib"}
        yield from (f"{{{name}}} is not declared" for name in used if name not in known)
        yield from (f"{{{name}}} is not used" for name in given if name not in used)
        yield from _unsafe_places(self.command, used)
        if not _JOB_NAME.fullmatch(self.name):
            yield "name is not 1 to 63 letters, digits, '_', '.' or '-'"
        yield from (f"input {name} has no files" for name in self.inputs if not self.files(name))
        yield from (
            f"companion {companion} of input {name} is not a plain file name"
            for name in self.inputs
            for file in self.files(name)
            for companion in file.companions
            if "/" in companion or companion in ("", ".", "..")
        )
        yield from (
            f"output {name} is not a relative file name of letters, digits and '_.+=@-': {file}"
            for name, file in self.outputs.items()
            if not _OUTPUT_NAME.fullmatch(file)
        )
        yield from (f"{file} is two outputs" for file, times in Counter(self.outputs.values()).items() if times > 1)
        if min(self.cores, self.memory_mib, self.minutes) < 1 or self.gpus < 0:
            yield "cores, memory_mib and minutes must be at least 1, gpus at least 0"


@dataclass(frozen=True, kw_only=True)
class Output:
    """A file a job has left. Bytes are its size."""

    uri: str
    bytes: int
    sha256: str


@dataclass(frozen=True, kw_only=True)
class JobResult:
    """What a finished job has left and used.

    `cpu_seconds` is user + system time of the whole process tree, pipe members included. `peak_memory_bytes` is the
    largest sum of resident memory over the processes of the job that a runner saw at one time (pages that processes
    share count in each). `command` is the job's, with its placeholders, so it names no machine's paths.
    """

    job: str
    image: str
    command: str
    exit_code: int
    started_at: datetime
    wall_seconds: float
    cpu_seconds: float
    peak_memory_bytes: int
    tool_versions: Mapping[str, str]
    outputs: Mapping[str, Output]


def _silent(line: str) -> None:
    """Takes a log line nobody wants to see."""


class Runner(Protocol):
    """Where jobs run."""

    def check(self, tools: Iterable[str]) -> None:
        """Say at configuration time that tools cannot run here.

        Args:
            tools: executables, e.g. the keys of `Job.tools`.

        Raises:
            SettingError: names every tool that is missing, where it was looked for, and what to do.
        """
        ...

    def run(self, job: Job, destination: str, log: Callable[[str], None] = _silent) -> JobResult:
        """Run a job to its end and leave its outputs below `destination`.

        Args:
            job: what to run.
            destination: URI of a folder (a staging folder of the lake); outputs appear there only after success.
            log: called with each line the tools write, as they write it. What it raises ends the job.

        Raises:
            SettingError: a tool is missing or does not tell its version.
            MissingData: input files are not there; lists them all.
            JobFailed: the command failed or left an output out; `passing` says whether a retry may help.
        """
        ...


@dataclass(frozen=True)
class LocalRunner:
    """Runs jobs as processes of this machine (Linux). Local inputs are used in place, others are fetched first.

    The processes of a job are one process group. When `run` ends by an exception (a cancelled step), the group gets
    SIGTERM and two seconds later SIGKILL; when this process is killed, so is the group. A tool that leaves the group
    (`setsid`, `timeout` without `--foreground`) leaves this care. Memory is sampled from /proc every 0.2 s (more often
    at the start), so a shorter peak can be missed.

    Args:
        scratch: folder for the jobs' working folders. Each is removed with its job; what a killed process has left
            is removed when the next job starts.
        path: folders to look for executables in, separated by colons; this process' PATH by default.
    """

    scratch: Path
    path: str = field(default_factory=lambda: os.environ.get("PATH", os.defpath))

    def check(self, tools: Iterable[str]) -> None:
        """See `Runner.check`."""
        if missing := sorted({tool for tool in ("bash", *tools) if shutil.which(tool, path=self.path) is None}):
            raise SettingError(
                "LSDATA_COMPUTE=local",
                found=f"no executable {', '.join(missing)} in {self.path}",
                allowed="tools that are installed on this machine",
                do="Run `make setup`, add the tool's folder to PATH, or configure another tool or runner.",
            )

    def run(self, job: Job, destination: str, log: Callable[[str], None] = _silent) -> JobResult:
        """See `Runner.run`."""
        self.check(job.tools)
        passed_on = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
        env = {**passed_on, "PATH": self.path, "LANG": "C.UTF-8", "TZ": "UTC", **job.env}
        versions = {tool: _version(tool, command, tuple(env.items())) for tool, command in job.tools.items()}
        with _working_folder(self.scratch, job.name) as folder:
            script = folder / ".job.sh"  # a file: thousands of inputs are more than one argument may hold
            script.write_text(job.script(_bring(job, folder / ".inputs")))
            for file in job.outputs.values():
                (folder / file).parent.mkdir(parents=True, exist_ok=True)
            started_at, start = datetime.now(UTC), time.perf_counter()
            end = _execute(["bash", str(script)], folder, {**env, "TMPDIR": str(folder)}, log)
            wall_seconds = time.perf_counter() - start
            if end.exit_code:
                raise JobFailed(
                    f"job {job.name}",
                    found=_exit(end.exit_code),
                    allowed="exit code 0",
                    do="\n".join(["The tool's last lines say why:", *(end.tail or ["(it wrote none)"])]),
                    passing=end.exit_code in job.passing_exit_codes,
                )
            outputs = _take(job, folder, destination)
        return JobResult(
            job=job.name,
            image=job.image,
            command=job.command,
            exit_code=end.exit_code,
            started_at=started_at,
            wall_seconds=wall_seconds,
            cpu_seconds=end.cpu_seconds,
            peak_memory_bytes=end.peak_memory_bytes,
            tool_versions=versions,
            outputs=outputs,
        )


def _unsafe_places(command: str, used: Mapping[str, int]) -> Iterator[str]:
    """Places where a shell-quoted value would be read as something else, or as code."""
    if re.search(r"`|(?<!<)<<-?\s*['\"\\]?[A-Za-z_]", command):
        yield "backtick or here-document (write $(...), printf or <<<)"
    # Each value is probed as a quoted word with a space in it. Where the placeholder stands in quotes itself, the word
    # comes apart (single) or keeps its quotes (double).
    probe = _PLACEHOLDER.sub(lambda match: f"'{match[0]} '" if "." in match[1] else match[0], command)
    try:
        words = shlex.split(re.sub(r"(?m)^\s*#.*", "", probe))
    except ValueError as error:
        yield f"unbalanced quotes ({error})"
        return
    for name, times in used.items():
        plain = sum(word.count(f"{{{name}}} ") - word.count(f"'{{{name}}} ") for word in words)
        if "." in name and plain != times:
            yield f"{{{name}}} stands in quotes or a comment"


@lru_cache(maxsize=256)
def _version(tool: str, command: str, env: tuple[tuple[str, str], ...]) -> str:
    """First line a version command prints; looked up once per process."""
    try:
        printed = subprocess.run(
            ["bash", "-c", command],
            env=dict(env),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_VERSION_SECONDS,
            check=False,
        ).stdout.decode(errors="replace")
    except subprocess.TimeoutExpired:
        printed = ""
    if not (version := printed.strip().partition("\n")[0].strip()):
        raise SettingError(
            f"version of {tool}",
            found=f"nothing on standard output of `{command}`",
            allowed=f"a line within {_VERSION_SECONDS} s",
            do="Run the command by hand; reinstall the tool or correct Job.tools.",
        )
    return version


class _Files(Protocol):
    """What is used of an fsspec file system."""

    def isfile(self, path: str) -> bool: ...
    def get_file(self, rpath: str, lpath: str) -> None: ...
    def put_file(self, lpath: str, rpath: str) -> None: ...


def _remote(uri: str) -> tuple[_Files, str]:
    from fsspec.core import url_to_fs  # pyright: ignore[reportMissingTypeStubs, reportUnknownVariableType]  untyped

    return cast("tuple[_Files, str]", url_to_fs(uri))


def _local(uri: str) -> Path | None:
    """The path of a local URI; None when it is not local."""
    if "://" not in uri:
        return Path(uri).absolute()
    parts = urlsplit(uri)
    return Path(unquote(parts.path)) if parts.scheme == "file" else None


def _bring(job: Job, folder: Path) -> dict[str, list[str]]:
    """Paths of all inputs; those from elsewhere are fetched, each with its companions into a folder of its own."""
    files = [(name, file) for name in job.inputs for file in job.files(name)]
    missing = [
        uri
        for _, file in files
        for uri in file.uris
        if not (path.is_file() if (path := _local(uri)) else (remote := _remote(uri))[0].isfile(remote[1]))
    ]
    if missing:
        raise MissingData(
            f"inputs of job {job.name}",
            found=f"no file {', '.join(missing)}",
            allowed="files that have been published",
            do="Materialize the asset they come from, or correct the URI.",
        )
    paths: dict[str, list[str]] = {name: [] for name in job.inputs}
    for number, (name, file) in enumerate(files):
        path = _local(file.uri)
        if path is None:
            beside = folder / str(number)
            beside.mkdir(parents=True)
            for uri in file.uris:
                remote, rpath = _remote(uri)
                remote.get_file(rpath, str(beside / rpath.rpartition("/")[2]))
            path = beside / file.uri.rpartition("/")[2]
        paths[name].append(str(path))
    return paths


def _take(job: Job, folder: Path, destination: str) -> dict[str, Output]:
    """Hash the outputs and move them to the destination."""
    absent = [
        f"{name} ({file})"
        for name, file in job.outputs.items()
        if not (path := folder / file).is_file() or path.is_symlink() or not path.stat().st_size
    ]
    if absent:
        raise JobFailed(
            f"job {job.name}",
            found=f"exit code 0, but missing, empty or a link: {', '.join(absent)}",
            allowed="every declared output with content",
            do="Correct the command or the declared outputs.",
        )
    outputs: dict[str, Output] = {}
    for name, file in job.outputs.items():
        source, uri = folder / file, f"{destination.rstrip('/')}/{file}"
        with source.open("rb") as content:
            sha256 = hashlib.file_digest(content, "sha256").hexdigest()
        outputs[name] = Output(uri=uri, bytes=source.stat().st_size, sha256=sha256)
        if target := _local(uri):
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.move(source, target)
        else:
            remote, rpath = _remote(uri)
            remote.put_file(str(source), rpath)
    return outputs


@contextmanager
def _working_folder(scratch: Path, name: str) -> Generator[Path, None, None]:
    """A fresh locked folder, removed at the end; folders whose lock is gone lost their process and are removed too."""
    scratch.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        with _locked(scratch):  # so that nobody finds a new folder before it is locked
            for left in scratch.glob("job-*"):
                with suppress(BlockingIOError, FileNotFoundError), _locked(left, fcntl.LOCK_NB):
                    shutil.rmtree(left, ignore_errors=True)
            folder = Path(tempfile.mkdtemp(prefix=f"job-{name}-", dir=scratch)).absolute()
            stack.enter_context(_locked(folder))
            stack.callback(shutil.rmtree, folder, ignore_errors=True)  # what stays is tried again by the next job
        yield folder


@contextmanager
def _locked(folder: Path, flags: int = 0) -> Generator[None, None, None]:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | flags)
        yield
    finally:
        os.close(descriptor)


@dataclass(frozen=True)
class _End:
    exit_code: int
    cpu_seconds: float
    peak_memory_bytes: int
    tail: Sequence[str]


def _execute(command: Sequence[str], folder: Path, env: Mapping[str, str], log: Callable[[str], None]) -> _End:
    """Run a command in a process group that ends with this call, or with this process."""
    # The reaper leads the group, so nothing of the job ever runs outside its reach. It sleeps until the pipe to it
    # closes, which happens even when this process is killed, and then kills the whole group, itself included.
    reaper = subprocess.Popen(
        ["bash", "-c", "trap '' HUP INT TERM; read -r; kill -KILL 0"],
        env=env,
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        process_group=0,
    )
    tool = None
    try:
        tool = subprocess.Popen(
            command,
            cwd=folder,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            process_group=reaper.pid,
        )
        stdout = cast("IO[bytes]", tool.stdout)  # Popen opens it for PIPE
        memory = _Memory(reaper.pid)
        tail: deque[str] = deque(maxlen=_TAIL_LINES)
        for line in _lines(stdout.fileno(), memory):  # until the last process that can write to it has ended
            tail.append(line)
            log(line)
        _, status, usage = os.wait4(tool.pid, 0)
        code = tool.returncode = os.waitstatus_to_exitcode(status)
        return _End(
            exit_code=128 - code if code < 0 else code,  # as bash reports a signal
            cpu_seconds=usage.ru_utime + usage.ru_stime,
            peak_memory_bytes=memory.peak_bytes,
            tail=tail,
        )
    except BaseException:  # a cancelled step interrupts with any exception; it is raised again
        os.killpg(reaper.pid, signal.SIGTERM)
        _await_end(reaper.pid)
        raise
    finally:
        os.killpg(reaper.pid, signal.SIGKILL)  # the reaper is not waited for yet, so the number is still ours
        _await_end(reaper.pid)  # they die soon, not at once, and the working folder is removed next
        for process in (reaper, tool):
            if process is not None:
                for pipe in (process.stdin, process.stdout):
                    if pipe is not None:
                        pipe.close()
                process.wait()


def _await_end(group: int) -> None:
    """Wait until no process of a group has memory any more, for the grace time at most."""
    deadline = time.monotonic() + _GRACE_SECONDS
    while _resident_bytes(group) and time.monotonic() < deadline:
        time.sleep(0.02)


class _Memory:
    """Samples the resident memory of a process group, at first often, then at a steady pace."""

    def __init__(self, group: int):
        self.peak_bytes = 0
        self._group = group
        self._pause = _FIRST_SAMPLE_SECONDS
        self._due = 0.0

    def sample(self) -> float:
        """Sample when it is time to. Returns the seconds until the next time."""
        if (now := time.monotonic()) >= self._due:
            self.peak_bytes = max(self.peak_bytes, _resident_bytes(self._group))
            self._due = now + self._pause
            self._pause = min(self._pause * 1.5, _SAMPLE_SECONDS)
        return self._due - now


def _resident_bytes(group: int) -> int:
    """Sum over the living members of a process group, without its leader, the reaper."""
    pages = 0
    for entry in os.listdir("/proc"):
        if entry.isdecimal() and int(entry) != group:
            with suppress(OSError):  # it has just ended
                if os.getpgid(int(entry)) == group:
                    pages += int(Path(f"/proc/{entry}/statm").read_bytes().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def _lines(descriptor: int, memory: _Memory) -> Iterator[str]:
    """Lines as they come; of a progress line that overwrites itself with carriage returns, its last state."""
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    pending = b""
    while True:
        # Never blocked for long: memory is sampled, and an exception raised into this thread gets through.
        if not poll.poll(memory.sample() * 1_000):
            continue
        if not (chunk := os.read(descriptor, 65_536)):
            break
        *lines, pending = (pending + chunk).split(b"\n")
        yield from filter(None, map(_text, lines))
        pending = pending[pending.rfind(b"\r", 0, -1) + 1 :][: _LINE_BYTES + 1]
    yield from filter(None, [_text(pending)])


def _text(line: bytes) -> str:
    shown = line.rstrip(b"\r").rpartition(b"\r")[2]
    text = shown[:_LINE_BYTES].decode(errors="replace").rstrip()
    return f"{text} …" if len(shown) > _LINE_BYTES else text


def _exit(code: int) -> str:
    """An exit code in words.

    >>> _exit(137)
    'exit code 137 (SIGKILL)'
    """
    try:
        return f"exit code {code} ({signal.Signals(code - 128).name})"
    except ValueError:
        return f"exit code {code}"
