"""The command as a process: how it starts, and every way in which it ends."""

import os
import pty
import re
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import typer
from cli.invoking import COMMAND, ROOT, invoke, problem, run, saved

from sketches import FlajoletMartin
from sketches.cli import main


def test_main(text, monkeypatch, capsys):
    handler = signal.getsignal(signal.SIGTERM)
    try:
        monkeypatch.setattr(sys, "argv", ["sketches", "profile", str(text)])
        with pytest.raises(SystemExit) as caught:
            main()
    finally:
        signal.signal(signal.SIGTERM, handler)
    assert not caught.value.code
    assert "distinct items" in capsys.readouterr().out


def test_main_without_the_extra(monkeypatch):
    monkeypatch.delitem(sys.modules, "sketches.cli.app")
    monkeypatch.setitem(sys.modules, "typer", None)
    with pytest.raises(
        SystemExit, match=r"^sketches: this command needs typer; run: pip install 'stream-sketches\[cli\]'$"
    ):
        main()
    monkeypatch.setitem(sys.modules, "typer", typer)
    monkeypatch.setitem(sys.modules, "sketches.cli.answers", None)  # a module of the package itself is another matter
    with pytest.raises(ModuleNotFoundError, match=r"sketches\.cli\.answers"):
        main()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["profile"], "missing argument 'file'; see sketches profile --help"),
        (["profile", "a", "b"], "got unexpected extra argument"),
        (["profile", "a", "--seed", "-1"], "invalid value for '--seed': "),
        (["profile", "a", "--format", "xml"], "invalid value for '--format': 'xml' is not one of 'text', 'csv', "),
        (["show", "--bogus"], "no such option: --bogus"),
        (["--bogus"], "no such option: --bogus"),
        (["fo\no"], r"no such command 'fo\no'; see sketches --help"),
        (["query", "a", "b", "--type"], "option '--type' requires an argument"),
    ],
)
def test_usage_errors(arguments, message):
    assert message.lower() in problem(*arguments).lower()


def test_no_arguments_and_help():
    assert "Usage: " in invoke(code=2).output
    assert "Usage: " in invoke("profile", "--help").stdout


def test_process(text):
    done = run("profile", text)
    assert (done.returncode, done.stderr) == (0, "")
    assert "distinct items" in done.stdout
    done = run("profile", text, env={**os.environ, "PYTHONIOENCODING": "ascii"})
    assert (done.returncode, done.stderr) == (0, "")


def test_process_fails_in_one_line(tmp_path):
    empty = tmp_path / "empty.csv"
    empty.touch()
    for arguments in (("profile", empty), ("profile", tmp_path / "none"), ("show", empty), ("profile", sys.executable)):
        done = run(*arguments)
        assert (done.returncode, done.stdout) == (2, "")
        assert re.fullmatch(r"sketches: [^\n]+\n", done.stderr)
        assert "Traceback" not in done.stderr


def test_process_without_the_extra():
    code = "import sys; sys.modules['typer'] = None; from sketches.cli import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, timeout=60, check=False
    )
    assert done.returncode == 1
    assert done.stderr == "sketches: this command needs typer; run: pip install 'stream-sketches[cli]'\n"


@pytest.mark.parametrize("option", [[], ["--json"]])
def test_closed_pipe_is_quiet(text, option):
    with subprocess.Popen(
        [*COMMAND, "profile", str(text), *option], stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=ROOT
    ) as process:
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 1


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
def test_full_disk_under_standard_output(text, tmp_path):
    sketch = saved(tmp_path, FlajoletMartin())
    for arguments in (("profile", text), ("profile", text, "--json"), ("merge", sketch, sketch, "-o", sketch)):
        with open("/dev/full", "w") as full:
            command = [*COMMAND, *map(str, arguments)]
            done = subprocess.run(
                command, stdout=full, stderr=subprocess.PIPE, text=True, cwd=ROOT, timeout=60, check=False
            )
        assert (done.returncode, done.stderr) == (2, "sketches: standard output: No space left on device\n")


def test_closed_standard_output(text, tmp_path):
    folder = tmp_path / "out"
    command = " ".join(map(shlex.quote, [*COMMAND, "profile", str(text), "--save", str(folder)]))
    done = subprocess.run(
        ["/bin/sh", "-c", f"{command} >&-"], stderr=subprocess.PIPE, cwd=ROOT, timeout=60, check=False
    )
    assert (done.returncode, done.stderr) == (0, b"")
    assert len(list(folder.iterdir())) == 4


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("file_format", ["text", "csv", "jsonl"])
def test_interrupt_is_quiet(tmp_path, number, file_format):
    folder = tmp_path / "out"
    arguments = ["profile", "-", "--format", file_format, "--save", str(folder)]
    with subprocess.Popen(
        [*COMMAND, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=ROOT
    ) as process:
        process.stdin.write(b"x\n1\n")
        process.stdin.flush()
        while not folder.exists():  # it is made just before the pass begins
            assert process.poll() is None
        process.send_signal(number)
        output, errors = process.communicate(timeout=30)
    assert (output, errors, process.returncode) == (b"", b"", 128 + number)
    assert not list(folder.iterdir())


def test_terminal(text):
    """On a real terminal the bar appears, and is gone at the end."""
    control, terminal = pty.openpty()
    process = subprocess.Popen([*COMMAND, "profile", str(text)], stdout=subprocess.DEVNULL, stderr=terminal, cwd=ROOT)
    os.close(terminal)
    written = b""
    try:
        while chunk := os.read(control, 1 << 16):
            written += chunk
    except OSError:  # how Linux says that the other end is closed
        pass
    os.close(control)
    assert process.wait(60) == 0
    assert b"reading" in written
    assert written.rstrip().endswith((b"\x1b[2K", b"\x1b[?25h"))
