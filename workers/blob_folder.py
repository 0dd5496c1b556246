"""Blobs in a local folder. Knows files, links and syncs, not what the bytes mean."""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

from workers.blob_storage import TRASH, translated

T = TypeVar("T")
_UNFINISHED = ".unfinished"


class Folder:
    """A local folder. Unfinished files lie in a folder of their own, so that no reader ever comes upon one."""

    def __init__(self, root: Path) -> None:
        self.root = Path(os.path.abspath(root))  # noqa: PTH100  a root that is a link stays one
        self.place = str(self.root)

    def write(self, name: str, data: bytes, durable: bool = True) -> None:
        """Write, sync and rename: after a power cut the name holds all of the bytes or is not there."""
        with translated("write", name, self.place):
            target, unfinished = self.root / name, self.root / _UNFINISHED / secrets.token_hex(16)
            try:
                _with_folder(lambda: _write(unfinished, data, durable), unfinished.parent)
                _with_folder(lambda: unfinished.replace(target), target.parent)
            except BaseException:
                with suppress(OSError):
                    unfinished.unlink()
                raise
            if durable:
                _sync_folder(target.parent)

    def read(self, name: str) -> bytes:
        """Return the bytes of a file."""
        with translated("read", name, self.place):
            return (self.root / name).read_bytes()

    def exists(self, name: str) -> bool:
        """Return whether the file is there."""
        with translated("look for", name, self.place):
            return (self.root / name).is_file()

    def refresh(self, name: str, data: bytes) -> None:
        """Touch a file that has these bytes, write it anew when it is damaged or missing."""
        path = self.root / name
        with suppress(OSError):
            os.utime(path)  # before the look: from here on nothing purges it
            if path.read_bytes() == data:
                return
        self.write(name, data)

    def delete(self, name: str) -> None:
        """Remove a file."""
        with translated("delete", name, self.place):
            (self.root / name).unlink(missing_ok=True)

    def clock(self) -> float:
        """Write a file and return the time that its file system gave it, which may be another machine's."""
        with translated("write", "a probe", self.place):
            probe = self._unfinished()
            try:
                probe.write_bytes(b"")
                return probe.stat().st_mtime
            finally:
                probe.unlink(missing_ok=True)

    def trash_older(self, name: str, before: float) -> bool:
        """Move a file to the trash, look at its age again, and put it back where someone refreshed it meanwhile."""
        path, aside = self.root / name, self.root / TRASH / name
        with translated("move", name, self.place), suppress(FileNotFoundError):  # another took it or brought it back
            _with_folder(lambda: path.replace(aside), aside.parent)
            if aside.stat().st_mtime < before:
                os.utime(aside)
                return True
            _put_back(aside, path)
        return False

    def restore(self, name: str) -> bool:
        """Move a file back from the trash."""
        path, aside = self.root / name, self.root / TRASH / name
        with translated("restore", name, self.place):
            if not aside.is_file():
                return False
            with suppress(FileNotFoundError):  # another was quicker
                _with_folder(lambda: aside.replace(path), path.parent)
            return path.is_file()

    def changed(self, folder: str) -> Iterator[tuple[str, float]]:
        """Yield files with the time of their last change."""
        with translated("list", folder, self.place):
            for path, changed_at in _files(self.root / folder):
                yield path.relative_to(self.root).as_posix(), changed_at

    def clear_unfinished(self, before: float) -> None:
        """Remove unfinished files that nothing has happened to since."""
        for path in (self.root / _UNFINISHED).glob("*"):
            with suppress(OSError):
                if path.stat().st_ctime < before:
                    path.unlink()

    def free_mb(self) -> int:
        """Return the free space of the disk that the folder is on, or will be."""
        with translated("measure", "space", self.place):
            return _with_folder(lambda: shutil.disk_usage(self.root).free // 1_000_000, self.root)

    def _unfinished(self) -> Path:
        folder = self.root / _UNFINISHED
        folder.mkdir(parents=True, exist_ok=True)
        return folder / secrets.token_hex(16)


def _with_folder(work: Callable[[], T], folder: Path) -> T:
    """Return what `work` returns, and make the folder that it needs only when it is not there."""
    try:
        return work()
    except FileNotFoundError:
        folder.mkdir(parents=True, exist_ok=True)
        return work()


def _files(folder: Path) -> Iterator[tuple[Path, float]]:
    """Yield the files below a folder as they are read, however many there are, with the times of their last change."""
    folders = [folder]
    while folders:
        with suppress(FileNotFoundError, NotADirectoryError), os.scandir(folders.pop()) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    folders.append(Path(entry.path))
                    continue
                with suppress(FileNotFoundError):  # it went meanwhile
                    yield Path(entry.path), entry.stat().st_mtime


def _write(path: Path, data: bytes, durable: bool) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o640)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
        file.flush()
        if durable:
            os.fsync(file.fileno())


def _put_back(aside: Path, path: Path) -> None:
    try:
        os.link(aside, path)  # unlike a rename it leaves what was written there meanwhile
    except FileExistsError:
        pass
    except OSError:  # a file system without links
        aside.replace(path)
    aside.unlink(missing_ok=True)


def _sync_folder(folder: Path) -> None:
    with suppress(OSError):  # some file systems know no sync of a folder
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
