"""Paths, progress lines, and commands that end in a clear error."""

import collections
import hashlib
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
CACHE = ROOT / ".cache" / "race-llama-cpp"
RESULTS = ROOT / "benches" / "results"


class Failure(Exception):
    """What went wrong and what to do about it."""


def say(text):
    """One line of progress."""
    print(f"race-llama-cpp: {text}", file=sys.stderr, flush=True)


def digest(path):
    """SHA-256 of a file, in hexadecimal."""
    sha = hashlib.sha256()
    with open(path, "rb") as file:
        for block in iter(lambda: file.read(1 << 22), b""):
            sha.update(block)
    return sha.hexdigest()


def output(command):
    """What a short command prints, or an empty text where it cannot run."""
    try:
        return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return ""


def run_logged(command, log, on_line=lambda line: None, cwd=None):
    """Runs a long command, every line of it into `log`; a failure shows the last lines."""
    tail = collections.deque(maxlen=20)
    with open(log, "a", encoding="utf-8") as out:
        try:
            child = subprocess.Popen(
                command, cwd=cwd, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace"
            )
        except OSError as error:
            raise Failure(f"cannot run {command[0]}: {error}") from error
        try:
            for line in child.stdout:
                out.write(line)
                tail.append(line.rstrip())
                on_line(line)
            code = child.wait()
        except BaseException:
            child.kill()
            child.wait()
            raise
    if code != 0:
        shown = "\n".join(tail)
        raise Failure(f"{shown}\n`{' '.join(map(str, command[:4]))} ...` ended with exit code {code}; all of it: {log}")
