"""Jobs and the local runner, with real commands."""

import hashlib
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import fsspec  # pyright: ignore[reportMissingTypeStubs]  it has none
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lsdata import compute
from lsdata.compute import Input, Job, JobResult, LocalRunner, Runner
from lsdata.errors import DeclarationError, JobFailed, MissingData, SettingError

PYTHON = sys.executable
Run = Callable[..., JobResult]


def job(
    command: str,
    *,
    inputs: Mapping[str, str | Input | Sequence[str | Input]] | None = None,
    outputs: Mapping[str, str] | None = None,
    parameters: Mapping[str, str] | None = None,
    tools: Mapping[str, str] | None = None,
    env: Mapping[str, str] | None = None,
    cores: int = 2,
) -> Job:
    return Job(
        name="example",
        image="debian:12-slim",
        command=command,
        inputs=inputs or {},
        outputs=outputs or {},
        parameters=parameters or {},
        tools=tools or {},
        env=env or {},
        cores=cores,
        memory_mib=256,
        minutes=1,
    )


@pytest.fixture
def scratch(tmp_path: Path) -> Path:
    return tmp_path / "scratch"


@pytest.fixture
def left(tmp_path: Path) -> Path:
    return tmp_path / "out put"


@pytest.fixture
def run(scratch: Path, left: Path) -> Run:
    """Runs a job whose parameters are those of `job`; every temp folder must be gone afterwards."""

    def run(command: str, *, log: Callable[[str], None] = lambda line: None, **declared: Any) -> JobResult:
        runner: Runner = LocalRunner(scratch)
        try:
            return runner.run(job(command, **declared), str(left), log)
        finally:
            assert list(scratch.glob("*")) == []

    return run


def processes_naming(mark: str) -> list[int]:
    """Living processes with a text in their command line."""
    found: list[int] = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal() and int(entry.name) != os.getpid():
            with suppress(OSError):
                if mark.encode() in (entry / "cmdline").read_bytes():
                    found.append(int(entry.name))
    return found


def wait_until(holds: Callable[[], bool], seconds: float = 20) -> bool:
    deadline = time.monotonic() + seconds
    while not (held := holds()) and time.monotonic() < deadline:
        time.sleep(0.01)
    return held


# --- The declaration ---


def test_all_misfits_of_a_command_are_listed_at_once():
    with pytest.raises(DeclarationError) as raised:
        job(
            "cat {inputs.read} {input.x} '{parameters.id}' \"{outputs.a}\" # `date`",
            inputs={"reads": "/a", "none": ()},
            parameters={"id": "x", "unused": "y"},
            outputs={"a": "../a", "b": "b", "c": "b"},
            cores=0,
        )
    for problem in (
        "{inputs.read} is not declared",
        "{input.x} is not declared",
        "{inputs.reads} is not used",
        "{parameters.unused} is not used",
        "{parameters.id} stands in quotes",
        "{outputs.a} stands in quotes",
        "backtick",
        "input none has no files",
        "output a is not a relative file name of letters, digits and '_.+=@-': ../a",
        "b is two outputs",
        "cores, memory_mib and minutes",
    ):
        assert problem in str(raised.value)


@pytest.mark.parametrize(
    "command",
    [
        "echo '{parameters.x}'",
        'echo "a {parameters.x}"',
        'echo "$(echo {parameters.x})"',
        "echo {parameters.x}; awk '{print \"{parameters.x}\"}'",
        "  # {parameters.x}\ntrue",
        "cat <<EOF\n{parameters.x}\nEOF",
        "echo `echo {parameters.x}`",
        "echo {parameters.x} 'open",
    ],
)
def test_a_placeholder_where_quoting_would_not_hold_is_refused(command: str):
    with pytest.raises(DeclarationError):
        job(command, parameters={"x": "y"})


def test_braces_of_bash_and_awk_are_left_alone():
    command = "x={parameters.x}; { echo ${x}; }; awk '{print}' <<< $x; echo {1..3} ${cores:-} \"{cores} ${#x}\""
    assert (
        job(command, parameters={"x": "it's"})
        .script({})
        .endswith("x='it'\"'\"'s'; { echo ${x}; }; awk '{print}' <<< $x; echo {1..3} ${cores:-} \"2 ${#x}\"")
    )


def test_a_value_of_several_lines_is_refused():
    with pytest.raises(DeclarationError, match=r"line breaks in parameters\.x"):
        job("echo {parameters.x}", parameters={"x": "a\nb"}).script({})


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\n\r\0")))
def test_any_text_reaches_the_tool_as_one_word(value: str):
    script = job("printf 'x%s\\0' 'a '{parameters.x}' b'", parameters={"x": value}).script({})
    printed = subprocess.run(["bash", "-c", script], capture_output=True, check=True, env={"LC_ALL": "C.UTF-8"}).stdout
    assert printed.decode() == f"xa {value} b\0"


def test_companions_lie_beside_their_file():
    reference = Input("file:///ref/chr20.fa", companions=("chr20.fa.fai",))
    assert reference.uris == ("file:///ref/chr20.fa", "file:///ref/chr20.fa.fai")
    with pytest.raises(DeclarationError, match=r"companion \.\./chr20\.dict of input ref"):
        job("cat {inputs.ref}", inputs={"ref": Input("/ref/chr20.fa", companions=("../chr20.dict",))})


# --- What a run gives ---


def test_values_with_spaces_quotes_and_substitutions_stay_values(run: Run, tmp_path: Path, left: Path):
    names = ["a b.txt", "it's.txt", "$(touch pwned).txt", 'say "hi".txt', "*.txt", "-n;.txt"]
    for name in names:
        (tmp_path / name).write_text(f"{name}\n")
    result = run(
        "cat {inputs.all} > {outputs.all}; printf '%s' {parameters.text} > {outputs.text}; ls > {outputs.here}",
        inputs={"all": [str(tmp_path / names[0]), *((tmp_path / name).as_uri() for name in names[1:])]},
        outputs={"all": "all.txt", "text": "sub/text.txt", "here": "here.txt"},
        parameters={"text": "$HOME `id` 'q' \\ {cores}"},
    )
    assert (left / "all.txt").read_text().splitlines() == names
    assert (left / "sub/text.txt").read_text() == "$HOME `id` 'q' \\ {cores}"
    assert (left / "here.txt").read_text().split() == ["all.txt", "here.txt", "sub"]
    text = result.outputs["text"]
    assert text.uri == f"{left}/sub/text.txt"
    assert text.bytes == (left / "sub/text.txt").stat().st_size
    assert text.sha256 == hashlib.sha256((left / "sub/text.txt").read_bytes()).hexdigest()
    assert str(tmp_path) not in result.command


def test_outputs_go_to_a_file_uri(scratch: Path, tmp_path: Path):
    destination = (tmp_path / "a b").as_uri() + "/"
    result = LocalRunner(scratch).run(job("echo x > {outputs.x}", outputs={"x": "x.txt"}), destination)
    assert result.outputs["x"].uri == f"{destination}x.txt"
    assert (tmp_path / "a b/x.txt").read_text() == "x\n"


def test_inputs_from_elsewhere_are_fetched_with_their_companions(scratch: Path):
    files = fsspec.filesystem("memory")  # pyright: ignore[reportUnknownMemberType]
    for path in ("/one/ref.fa", "/one/ref.fa.fai", "/two/ref.fa"):
        files.pipe_file(path, f"memory:/{path}\n".encode())
    example = job(
        'for file in {inputs.ref}; do cat $file; done > {outputs.x}; first=({inputs.ref}); cat "$first.fai" >> x.txt',
        inputs={"ref": [Input("memory://one/ref.fa", companions=("ref.fa.fai",)), "memory://two/ref.fa"]},
        outputs={"x": "x.txt"},
    )
    result = LocalRunner(scratch).run(example, "memory://out")
    assert result.outputs["x"].uri == "memory://out/x.txt"
    assert files.cat_file("/out/x.txt").split() == [
        b"memory://one/ref.fa", b"memory://two/ref.fa", b"memory://one/ref.fa.fai"
    ]  # fmt: skip
    assert list(scratch.iterdir()) == []


def test_thousands_of_inputs_fit_one_command(run: Run, tmp_path: Path, left: Path):
    (tmp_path / "a").touch()
    run(
        'all=({inputs.all}); for file in "${all[@]}"; do echo $file; done > {outputs.list}',
        inputs={"all": [str(tmp_path / "a")] * 10_000},
        outputs={"list": "list.txt"},
    )
    assert len((left / "list.txt").read_text().splitlines()) == 10_000


def test_log_lines_come_in_order_while_the_tool_runs(run: Run, tmp_path: Path):
    heard = tmp_path / "heard"
    lines: list[str] = []

    def log(line: str) -> None:
        lines.append(line)
        if line == "two":
            heard.touch()

    # The tool goes on only after its second line was heard.
    wait = "for i in {1..500}; do [ -e {parameters.heard} ] && break; sleep 0.01; done; [ -e {parameters.heard} ]"
    run(f"echo one; echo two >&2; {wait}; printf 'th\\xffree'", parameters={"heard": str(heard)}, log=log)
    assert lines == ["one", "two", "th\N{REPLACEMENT CHARACTER}ree"]


def test_progress_lines_keep_their_last_state_and_long_lines_are_cut(run: Run):
    lines: list[str] = []
    run(
        "printf '10%%\\r50%%\\r'; sleep 0.05; printf '99%%\\r\\nwindows\\r\\n\\n'; printf '%05000d\\nlast' 7",
        log=lines.append,
    )
    assert lines == ["99%", "windows", "0" * 2_000 + " …", "last"]


def test_cpu_time_of_pipe_members_is_counted(run: Run):
    burn = f"{PYTHON} -c 'import time\nwhile time.process_time() < 0.3: pass'"
    assert run(f"{burn} | {burn}").cpu_seconds >= 0.6


def test_peak_memory_is_the_sum_over_the_processes(run: Run):
    hold = (
        "import sys, time; from pathlib import Path; x = bytearray(100 << 20); me, other = map(Path, sys.argv[1:]);"
        "me.touch(); [time.sleep(0.01) for _ in range(1000) if not other.exists()]; time.sleep(0.4)"
    )
    peak_bytes = run(f"{PYTHON} -c '{hold}' a b | {PYTHON} -c '{hold}' b a").peak_memory_bytes
    assert 200 << 20 <= peak_bytes < 300 << 20


def test_peak_memory_does_not_count_this_process(run: Run):
    ballast = bytearray(b"x") * (100 << 20)
    assert 0 < run("sleep 0.05").peak_memory_bytes < 50 << 20
    assert ballast


def test_a_job_ends_with_its_last_process(run: Run, left: Path):
    run("echo abc | tee >(sleep 0.2; wc -c > {outputs.count}) > /dev/null", outputs={"count": "count.txt"})
    assert (left / "count.txt").read_text().strip() == "4"


def test_tool_versions_are_looked_up_once(run: Run, tmp_path: Path):
    count = tmp_path / "count"
    tools = {"bash": f"echo >> {count}; echo; bash --version | head -1", "sort": "sort --version | head -1 >&2; echo 9"}
    result = run("true", tools=tools)
    assert re.fullmatch(r"GNU bash, version [\d.]+.*", result.tool_versions["bash"])
    assert run("true", tools=tools).tool_versions == result.tool_versions == {**result.tool_versions, "sort": "9"}
    assert count.read_text() == "\n"


def test_a_tool_gets_no_secret_of_this_process(run: Run, left: Path, monkeypatch: pytest.MonkeyPatch):
    for name in ("AZURE_STORAGE_CONNECTION_STRING", "PGPASSWORD", "JAVA_TOOL_OPTIONS"):
        monkeypatch.setenv(name, "canary")
    run("env > {outputs.env}", outputs={"env": "env.txt"}, env={"OMP_NUM_THREADS": "2"})
    env = dict(line.split("=", 1) for line in (left / "env.txt").read_text().splitlines())
    assert "canary" not in env.values()
    assert env.keys() <= {
        *("PATH", "HOME", "LANG", "TMPDIR", "TZ", "JAVA_HOME", "LD_LIBRARY_PATH", "OMP_NUM_THREADS"),
        *("PWD", "SHLVL", "_", "OLDPWD"),
    }
    assert env["TMPDIR"] == env["PWD"]
    assert (env["LANG"], env["TZ"], env["OMP_NUM_THREADS"]) == ("C.UTF-8", "UTC", "2")


# --- What goes wrong ---


def test_a_failure_tells_its_code_and_the_last_lines(run: Run, left: Path):
    with pytest.raises(JobFailed) as raised:
        run("seq 100; echo no such read group >&2; exit 3; touch {outputs.x}", outputs={"x": "x"})
    assert not raised.value.passing
    assert raised.value.found == "exit code 3"
    assert raised.value.do.splitlines()[1:] == [*map(str, range(62, 101)), "no such read group"]
    assert not left.exists()


def test_a_failure_in_the_middle_of_a_pipe_fails_the_job(run: Run, left: Path):
    with pytest.raises(JobFailed, match="exit code 7"):
        run("echo b | (cat; exit 7) | sort > {outputs.x}", outputs={"x": "x"})
    assert not left.exists()


def test_an_unset_variable_fails_the_job(run: Run):
    with pytest.raises(JobFailed, match="unbound variable"):
        run("echo $sample; true")


@pytest.mark.parametrize("command", ["kill -KILL $$", "sh -c 'kill -KILL $$' | (cat; exit 1)", "sh -c 'kill -TERM $$'"])
def test_a_killed_tool_may_be_tried_again(run: Run, command: str):
    with pytest.raises(JobFailed, match=r"\(SIG(KILL|TERM)\)") as raised:
        run(command)
    assert raised.value.passing


def test_a_crashing_tool_is_not_tried_again(run: Run):
    with pytest.raises(JobFailed, match=r"exit code 139 \(SIGSEGV\)") as raised:
        run("sh -c 'kill -SEGV $$'")
    assert not raised.value.passing


def test_missing_empty_and_linked_outputs_are_listed(run: Run, left: Path):
    with pytest.raises(JobFailed) as raised:
        run(
            "echo > {outputs.good}; touch {outputs.empty}; ln -s {outputs.good} link",
            outputs={"good": "good", "empty": "empty", "absent": "absent.bam", "link": "link"},
        )
    assert raised.value.found.endswith("empty (empty), absent (absent.bam), link (link)")
    assert not left.exists()


def test_missing_inputs_are_listed_before_anything_starts(run: Run, tmp_path: Path):
    (tmp_path / "ref.fa").touch()
    with pytest.raises(MissingData) as raised:
        run(
            "cat {inputs.ref} {inputs.reads} | tee ran",
            inputs={"ref": Input(str(tmp_path / "ref.fa"), ("ref.fa.fai",)), "reads": "memory://nowhere/r.fq"},
        )
    assert raised.value.found == f"no file {tmp_path}/ref.fa.fai, memory://nowhere/r.fq"


def test_missing_tools_are_named_with_where_they_were_looked_for(scratch: Path):
    runner = LocalRunner(scratch, path="/nowhere")
    with pytest.raises(SettingError, match="no executable bash, bwa-mem9, gatk in /nowhere"):
        runner.check(["gatk", "bwa-mem9"])
    LocalRunner(scratch).check(["sort"])


def test_a_tool_without_a_version_is_refused(run: Run, scratch: Path):
    scratch.mkdir()
    with pytest.raises(SettingError, match="version of sort: nothing on standard output of `sort --nope`"):
        run("true", tools={"sort": "sort --nope"})


# --- Cancelling ---

# A pipe, a background process, and one that ignores SIGTERM.
BUSY = "echo started; sleep 61.{mark} | cat & (trap '' TERM; exec sleep 62.{mark}) & sort <(sleep 63.{mark})"


@pytest.fixture
def mark() -> str:
    return str(time.time_ns())


def busy(mark: str) -> str:
    return BUSY.replace("{mark}", mark) + f"; true 6.{mark}"


def test_an_exception_in_the_log_ends_every_process(run: Run, mark: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(compute, "_GRACE_SECONDS", 0.3)

    def log(line: str) -> None:
        assert wait_until(lambda: len(processes_naming(f".{mark}")) == 3)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(busy(mark), log=log)
    assert processes_naming(mark) == []


def test_an_interrupt_while_waiting_ends_every_process(run: Run, mark: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(compute, "_GRACE_SECONDS", 0.1)

    def interrupt() -> None:
        wait_until(lambda: len(processes_naming(f".{mark}")) == 3)
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    thread.start()
    with pytest.raises(KeyboardInterrupt):
        run(busy(mark))
    thread.join()
    assert processes_naming(mark) == []


def test_a_tool_may_clean_up_when_cancelled(run: Run, tmp_path: Path):
    def log(line: str) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(
            "trap 'echo cleaned > '{parameters.there} EXIT; trap 'exit 1' TERM; echo started; sleep 5 & wait",
            parameters={"there": str(tmp_path / "there")},
            log=log,
        )
    assert (tmp_path / "there").read_text() == "cleaned\n"


def test_killing_this_process_leaves_no_orphan_and_the_next_job_cleans_up(run: Run, scratch: Path, mark: str):
    code = (
        "import sys; from pathlib import Path; from lsdata.compute import *\n"
        "job = Job(name='x', image='x', command=sys.argv[2], inputs={}, outputs={}, tools={}, cores=1, memory_mib=1,"
        " minutes=1)\n"
        "LocalRunner(Path(sys.argv[1])).run(job, '/nowhere')"
    )
    with subprocess.Popen([PYTHON, "-c", code, str(scratch), busy(mark)]) as parent:
        assert wait_until(lambda: len(processes_naming(f".{mark}")) == 4)  # its own command line too
        parent.kill()
    assert wait_until(lambda: processes_naming(mark) == [])
    assert len(list(scratch.iterdir())) == 1
    run("true")


def test_folders_of_running_jobs_are_kept(scratch: Path, tmp_path: Path):
    def log(line: str) -> None:
        LocalRunner(scratch).run(job("true"), str(tmp_path / "inner"))

    LocalRunner(scratch).run(job("echo go; pwd > {outputs.x}", outputs={"x": "x"}), str(tmp_path / "outer"), log)
    assert (tmp_path / "outer/x").read_text().startswith(f"{scratch}/job-example-")
