"""A real disk that takes only so many bytes a second, for workloads that write more than it takes.

ext4 on a loop device, which the block layer throttles, with a limit of its own on what may be dirty: nothing else on the
machine gets slower. Needs root and the version 1 hierarchy of `blkio`, which throttles buffered writes too.
"""

import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

from .subjects import BENCH_BUILD, Failed

THROTTLE = Path("/sys/fs/cgroup/blkio/blkio.throttle.write_bps_device")
UMOUNT_TIMEOUT_S = 60
SIZE = 6 << 30  # sparse
DIRTY_MAX = 256 << 20
BYTES_PER_S = 80 << 20


def missing():
    """Gives: why this machine can have no slow disk, or None."""
    if os.geteuid() != 0:
        return "a slow disk needs root"
    absent = [tool for tool in ("losetup", "mkfs.ext4", "mount", "umount") if shutil.which(tool) is None]
    if absent:
        return f"a slow disk needs {', '.join(absent)}"
    if not THROTTLE.exists():
        return f"a slow disk needs {THROTTLE} (control groups of version 1)"
    return None


class SlowDisk:
    """with SlowDisk() as disk: ... disk.directory. Raises: Failed. One at a time; leaves nothing behind, nor do earlier
    ones that were killed."""

    def __init__(self):
        self.image = BENCH_BUILD / "slow-disk.img"
        self.directory = BENCH_BUILD / "slow-disk"
        self.device = None

    def __enter__(self):
        self.close()
        try:
            self.make()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *exception):
        self.close()

    def make(self):
        self.image.parent.mkdir(parents=True, exist_ok=True)
        with open(self.image, "wb") as image:
            image.truncate(SIZE)
        # No tables that are written later, in the background.
        run("mkfs.ext4", "-q", "-F", "-E", "lazy_itable_init=0,lazy_journal_init=0", str(self.image))
        # Past the page cache below: what the device has taken is written.
        self.device = run("losetup", "--direct-io=on", "-f", "--show", str(self.image))
        self.directory.mkdir(exist_ok=True)
        run("mount", self.device, str(self.directory))
        shutil.rmtree(self.directory / "lost+found", ignore_errors=True)
        limits = Path("/sys/block") / Path(self.device).name / "bdi"
        try:
            # Otherwise the limit is a share of the machine's memory, which a short load does not reach.
            (limits / "strict_limit").write_text("1")
            (limits / "max_bytes").write_text(str(DIRTY_MAX))
            throttle(self.device, BYTES_PER_S)
        except OSError as error:
            raise Failed(f"cannot slow {self.device} down: {error}") from error

    def close(self):
        """Needs: nobody has files open there. An interrupt waits until this is done."""
        before = {number: signal.signal(number, signal.SIG_IGN) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            for device in self.devices():
                throttle(device, 0)
                unmount(self.directory)
                subprocess.run(["losetup", "-d", device], check=False)
            self.image.unlink(missing_ok=True)
            if self.directory.is_dir():
                self.directory.rmdir()
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def devices(self):
        """Those of this image, also if an earlier run made them."""
        if not self.image.exists():
            return []
        return [line.partition(":")[0] for line in run("losetup", "-j", str(self.image)).splitlines()]


def throttle(device, bytes_per_s):
    """0: no longer."""
    THROTTLE.write_text(f"{(Path('/sys/block') / Path(device).name / 'dev').read_text().strip()} {bytes_per_s}\n")


def unmount(directory):
    # A process that was just killed may still let go of its files.
    deadline = time.monotonic() + UMOUNT_TIMEOUT_S
    while directory.is_mount():
        done = subprocess.run(["umount", str(directory)], capture_output=True, text=True)
        if done.returncode != 0 and time.monotonic() > deadline:
            raise Failed(done.stderr.strip())
        time.sleep(0.1 if done.returncode != 0 else 0)


def run(*command):
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        raise Failed(f"{' '.join(command)}: {done.stderr.strip()[-300:]}")
    return done.stdout.strip()
