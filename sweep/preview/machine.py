"""Tells what this machine has: memory, disk, devices, versions; and what a process took of it."""

import importlib.metadata
import os
import platform
import shutil
from contextlib import suppress
from pathlib import Path

import torch

from sweep.storage.inputs import PACKAGES

_STATUS, _MEMORY = Path("/proc/self/status"), Path("/proc/meminfo")
_CGROUP = Path("/sys/fs/cgroup")


def versions() -> str:
    """Returns the versions of Python and of the packages that results depend on."""
    found = [f"{name} {importlib.metadata.version(name)}" for name in PACKAGES]
    return ", ".join([f"Python {platform.python_version()}", *found])


def num_gpus() -> int:
    """Returns how many GPUs torch sees."""
    return torch.cuda.device_count()


def devices() -> str:
    """Returns a sentence on the CPUs and GPUs of this machine."""
    cores = f"{os.cpu_count() or 1} CPU cores"
    if not num_gpus():
        return f"{cores}, no GPU."
    names = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    return f"{cores} and {num_gpus()} GPUs ({', '.join(dict.fromkeys(names))})."


def reset_peak_memory() -> None:
    """Lets `peak_memory` count from now on."""
    if num_gpus():
        torch.cuda.reset_peak_memory_stats()
        return
    with suppress(OSError):  # Linux alone; elsewhere the peak is that of the whole process
        Path("/proc/self/clear_refs").write_text("5")


def peak_memory() -> int | None:
    """Returns the most memory, in bytes, that this process has taken: of the GPU if there is one.

    None where the system does not say.
    """
    if num_gpus():
        return int(torch.cuda.max_memory_allocated())
    return _kilobytes(_STATUS, "VmHWM")


def free_memory() -> int | None:
    """Returns how much memory, in bytes, the processes of a run could take, on one GPU if any.

    What this process holds counts as free, because it ends before a run begins. None where the
    system does not say.
    """
    if num_gpus():
        free, _ = torch.cuda.mem_get_info()
        return int(free) + int(torch.cuda.memory_reserved())
    free_of_all, held = _kilobytes(_MEMORY, "MemAvailable"), _kilobytes(_STATUS, "VmRSS")
    if free_of_all is None or held is None:
        return None
    allowed = [free_of_all]
    with suppress(OSError, ValueError):  # a container may be allowed less; "max" is no number
        limit = int((_CGROUP / "memory.max").read_text())
        allowed.append(limit - int((_CGROUP / "memory.current").read_text()))
    return min(allowed) + held


def free_disk(folder: str | Path) -> int:
    """Returns the free bytes of the disk that a folder is on, or will be made on."""
    place = Path(folder).absolute()
    while not place.exists():
        place = place.parent
    return shutil.disk_usage(place).free


def _kilobytes(file: Path, key: str) -> int | None:
    """Returns a number of a file in /proc, in bytes; None if it is not there."""
    with suppress(OSError):
        for line in file.read_text().splitlines():
            name, _, value = line.partition(":")
            if name == key:
                return int(value.split()[0]) * 1024
    return None
