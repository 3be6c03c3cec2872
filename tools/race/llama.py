"""llama.cpp from the llama-cpp-python source package, built for this machine, once, into .cache/race-llama-cpp."""

import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tarfile
import time

from race import machine
from race.common import CACHE, Failure, digest, run_logged, say

PACKAGE, VERSION = "llama-cpp-python", "0.3.36"
# What the llama-bench of that package calls itself: a build that is given may be of another.
COMMIT = "0c1e570"
ARCHIVE = "llama_cpp_python-0.3.36.tar.gz"
SHA256 = "832db0699007f1be95a7e41ef12e88926b02ba836461e36a36372db2760c1a2e"
# From pip, for machines that have none.
BUILD_TOOLS = {"cmake": "cmake==4.4.4", "ninja": "ninja==1.13.2"}
FLAGS = [
    "-DCMAKE_BUILD_TYPE=Release",
    "-DGGML_NATIVE=ON",
    "-DBUILD_SHARED_LIBS=OFF",
    "-DLLAMA_CURL=OFF",
    "-DLLAMA_BUILD_TESTS=OFF",
    "-DLLAMA_BUILD_EXAMPLES=OFF",
    "-DLLAMA_BUILD_SERVER=OFF",
    "-DLLAMA_BUILD_UI=OFF",
    "-DLLAMA_OPENSSL=OFF",
]
TARGETS = ["llama-bench", "llama-quantize"]
# What makes the opponent a fair one; read back from the build, also from one that somebody else made.
EXPECTED = {"CMAKE_BUILD_TYPE": "Release", "GGML_NATIVE": "ON", "GGML_LLAMAFILE": "ON", "GGML_OPENMP": "ON"}
MARK = ".built-for"


def source():
    """The folder of llama.cpp's source, downloaded, checked and unpacked."""
    folder = CACHE / ARCHIVE.removesuffix(".tar.gz")
    llama = folder / "vendor" / "llama.cpp"
    if (folder / MARK).is_file():
        return llama
    archive = CACHE / ARCHIVE
    if not archive.is_file():
        download()
    found = digest(archive)
    if found != SHA256:
        raise Failure(f"{archive}: SHA-256 {found}, expected {SHA256}; delete the file and run this again")
    say("unpacking llama.cpp")
    shutil.rmtree(folder, ignore_errors=True)
    # Only what is built, and .git, from which llama-bench takes its commit.
    wanted = tuple(f"{folder.name}/{part}/" for part in ("vendor/llama.cpp", ".git"))
    safely = {"filter": "data"} if hasattr(tarfile, "data_filter") else {}
    with tarfile.open(archive) as tar:
        tar.extractall(CACHE, [member for member in tar if member.name.startswith(wanted)], **safely)
    if not (llama / "CMakeLists.txt").is_file():
        raise Failure(f"{archive}: no vendor/llama.cpp in it")
    (folder / MARK).write_text(SHA256 + "\n", encoding="utf-8")
    return llama


def download():
    """The source archive by pip, which checks the hash before it looks inside."""
    say(f"downloading the source package {PACKAGE} {VERSION} (77 MB)")
    wanted = CACHE / "requirements.txt"
    wanted.write_text(f"{PACKAGE}=={VERSION} --hash=sha256:{SHA256}\n", encoding="utf-8")
    command = [sys.executable, "-m", "pip", "download", "--disable-pip-version-check", "--no-deps", "--no-cache-dir"]
    command += ["--no-binary", PACKAGE, "--require-hashes", "-r", str(wanted), "--dest", str(CACHE)]
    if subprocess.run(command, stdout=sys.stderr).returncode != 0:
        raise Failure(
            f"pip could not get {PACKAGE} {VERSION}, see above; "
            f"put {ARCHIVE} into {CACHE}, or give a finished build with --llama-build DIR"
        )
    if not (CACHE / ARCHIVE).is_file():
        raise Failure(f"pip left no {ARCHIVE} in {CACHE}")


def tool(name):
    """A build tool: the machine's own, or pip's in a virtual environment of this script."""
    own = shutil.which(name)
    if own:
        return own
    venv = CACHE / "venv"
    found = venv / "bin" / name
    if not found.is_file():
        say(f"no {name} on this machine: installing {BUILD_TOOLS[name]} into {venv}")
        log = CACHE / "pip.log"
        if not (venv / "bin" / "pip").is_file():
            run_logged([sys.executable, "-m", "venv", str(venv)], log)
        run_logged([str(venv / "bin" / "pip"), "install", "--disable-pip-version-check", BUILD_TOOLS[name]], log)
    return str(found)


class BuildProgress:
    """Ninja's `[done/all]` lines as one line a tenth, with the time left."""

    def __init__(self):
        self.started, self.next_tenth = time.monotonic(), 0

    def __call__(self, line):
        found = re.match(r"\[(\d+)/(\d+)\]", line)
        if not found or int(found[1]) * 10 < self.next_tenth * int(found[2]):
            return
        done, total = int(found[1]), int(found[2])
        left = (time.monotonic() - self.started) / done * (total - done)
        say(f"building llama.cpp: {done} of {total}, about {left / 60:.0f} min left")
        self.next_tenth = done * 10 // total + 1


def build():
    """The folder of the finished build. Skipped when it was made on this kind of CPU with these flags."""
    folder = CACHE / "build"
    mark = folder / MARK
    state = json.dumps({"cpu": machine.cpu_name(), "flags": FLAGS, "sha256": SHA256})
    if mark.is_file() and mark.read_text(encoding="utf-8") == state:
        return folder
    if not any(shutil.which(name) for name in ("c++", "g++", "clang++")):
        raise Failure("no C++ compiler (c++, g++ or clang++) to build llama.cpp with; install one, for example g++")
    sources = source()
    cmake, ninja = tool("cmake"), tool("ninja")
    shutil.rmtree(folder, ignore_errors=True)
    log = CACHE / "build.log"
    log.unlink(missing_ok=True)
    say("configuring llama.cpp")
    configure = [cmake, "-S", str(sources), "-B", str(folder), "-G", "Ninja", f"-DCMAKE_MAKE_PROGRAM={ninja}", *FLAGS]
    run_logged(configure, log)
    say(f"building llama.cpp with {os.cpu_count()} jobs: eight minutes or more on two cores")
    run_logged([ninja, "-C", str(folder), *TARGETS], log, BuildProgress())
    mark.write_text(state, encoding="utf-8")
    return folder


class Build:
    """A build of llama.cpp: its two programs, and how it was configured."""

    def __init__(self, folder):
        self.bench, self.quantize = (folder / "bin" / name for name in TARGETS)
        for program in (self.bench, self.quantize):
            if not program.is_file():
                raise Failure(f"{program}: there is no such file; --llama-build wants a CMake folder of llama.cpp")
        self.configuration = configuration(folder)


def configuration(folder):
    """The settings that decide its speed, from CMakeCache.txt; anything but the expected ones is refused."""
    try:
        text = (folder / "CMakeCache.txt").read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise Failure(f"cannot tell how llama.cpp was built: {error}") from error
    found = dict(re.findall(r"^(\w+):\w+=(.*)$", text, re.MULTILINE))
    for name, value in EXPECTED.items():
        if found.get(name) != value:
            raise Failure(f"{folder}: {name} is {found.get(name)!r}, {value!r} needed for a fair race")
    compiler = machine.compiler_version(found.get("CMAKE_CXX_COMPILER", "c++"))
    return {**EXPECTED, "compiler": compiler}


def get(given):
    """The build that `--llama-build` names, or our own."""
    CACHE.mkdir(parents=True, exist_ok=True)
    return Build(pathlib.Path(given).resolve() if given else build())
