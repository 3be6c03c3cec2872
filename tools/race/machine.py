"""What a figure was measured on."""

import os
import pathlib
import platform
import re
import time

from race.common import output


def cpu_name():
    """The CPU's own name for itself, with what tells kinds apart where clouds hide the name."""
    try:
        text = pathlib.Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return output(["sysctl", "-n", "machdep.cpu.brand_string"]) or platform.machine()
    found = {key: re.search(rf"^{key}\s*: (.*)$", text, re.MULTILINE) for key in ("model name", "model", "stepping")}
    name = found["model name"][1] if found["model name"] else platform.machine()
    return name + "".join(f", {key} {found[key][1]}" for key in ("model", "stepping") if found[key])


def cpu_slug(name):
    """The CPU's name as part of a file name."""
    plain = re.sub(r"\((R|TM)\)|\b(CPU|Processor)\b", " ", name.split(",")[0], flags=re.IGNORECASE)
    return re.sub(r"[^a-z0-9]+", "-", plain.lower()).strip("-")


def compiler_version(compiler):
    """The first line that a compiler says of itself."""
    return output([compiler, "--version"]).partition("\n")[0]


def load():
    """Programs running or waiting, averaged over a minute."""
    return round(os.getloadavg()[0], 2)


def settle(quiet, limit_s):
    """Waits until the load has come down to `quiet`, for `limit_s` at most; the load then."""
    until = time.monotonic() + limit_s
    while (now := load()) > quiet and time.monotonic() < until:
        time.sleep(5)
    return now


def stolen_s():
    """CPU seconds that the host has given to other machines since the start; None where nobody counts them."""
    try:
        fields = pathlib.Path("/proc/stat").read_text(encoding="utf-8").split("\n", 1)[0].split()
        return int(fields[8]) / os.sysconf("SC_CLK_TCK")
    except (OSError, IndexError, ValueError):
        return None


def describe():
    """The machine as the results name it."""
    pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    system = f"{platform.system()} {platform.release()}"
    return {"cpu": cpu_name(), "cores": os.cpu_count(), "memory_gb": round(pages / 1e9, 1), "system": system}
