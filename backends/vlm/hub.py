"""Where a checkpoint lies: a folder, or a snapshot in the hub's cache. Knows names and downloads, no contents."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

from router.errors import BackendUnavailableError

INTERNVL3, LLAMA_VISION = "OpenGVLab/InternVL3-2B-hf", "meta-llama/Llama-3.2-11B-Vision-Instruct"
PUBLISHED = {"internvl": INTERNVL3, "mllama": LLAMA_VISION}
"""The checkpoint that a lane reads with where nothing else is set, by the `model_type` of its configuration."""

_HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")
_FILES = ["*.json", "*.safetensors", "*.jinja", "*.txt", "*.model"]
_LEFT_OUT = "original/*"
"""The same weights in the publisher's own format, which nothing here reads: 21 GB beside Llama's 21."""


def locate(checkpoint: str, revision: str | None = None, remote_code: bool = False, download: bool = False) -> Path:
    """Return the folder of a checkpoint: itself, or the snapshot of a hub id that was downloaded before.

    With `download` a snapshot that is not here is fetched. Raises `BackendUnavailableError` when there is none, with
    what to do.
    """
    folder = Path(checkpoint).expanduser()
    if folder.is_dir():
        return folder
    if not _HUB_ID.fullmatch(checkpoint):
        raise BackendUnavailableError(
            f"there is no checkpoint folder {checkpoint}; give the folder that holds its config.json, or a hub id like "
            f"{INTERNVL3}"
        )
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import GatedRepoError, HfHubHTTPError, LocalEntryNotFoundError, RepositoryNotFoundError

    files = [*_FILES, "*.py"] if remote_code else _FILES
    try:
        return Path(
            snapshot_download(
                checkpoint,
                revision=revision,
                allow_patterns=files,
                ignore_patterns=[_LEFT_OUT],
                local_files_only=not download,
            )
        )
    except GatedRepoError as exc:
        raise BackendUnavailableError(
            f"{checkpoint} is gated; accept its licence on its page and log in with `hf auth login`"
        ) from exc
    except RepositoryNotFoundError as exc:
        raise BackendUnavailableError(f"the hub has no {checkpoint}, or it is private; check the name") from exc
    except (LocalEntryNotFoundError, HfHubHTTPError, OSError) as exc:
        if not download:
            raise BackendUnavailableError(
                f"the checkpoint {checkpoint} is not on this machine; run `{command(checkpoint, revision)}`, or give a "
                "folder that holds it"
            ) from exc
        raise BackendUnavailableError(
            f"{checkpoint} cannot be downloaded ({type(exc).__name__}); check the revision and the network, or give a "
            "folder that holds the checkpoint"
        ) from exc


def command(checkpoint: str, revision: str | None = None, folder: Path | None = None) -> str:
    """Return the shell command that fetches a checkpoint into the hub's cache, or into `folder`."""
    parts = ["hf", "download", checkpoint, *(["--revision", revision] if revision else [])]
    place = f" --local-dir {shlex.quote(str(folder))}" if folder else ""
    return f'{shlex.join(parts)} --exclude "{_LEFT_OUT}"{place}'


def fetch_again(folder: Path, model_type: str) -> str:
    """Return the advice for a folder that lacks something which the published checkpoint has."""
    kept = _cached(folder)
    if kept:
        return f"run `{command(kept, folder.name)}` again"
    return f"copy it again, or fetch the published one with `{command(PUBLISHED[model_type], folder=folder)}`"


def fetch_newest(folder: Path, model_type: str) -> str:
    """Return the command that fetches the newest snapshot of what is in a folder."""
    kept = _cached(folder)
    return command(kept or PUBLISHED[model_type], folder=None if kept else folder)


def _cached(folder: Path) -> str | None:
    """The hub id of a folder in the hub's cache: `models--owner--name/snapshots/commit`."""
    if folder.parent.name != "snapshots" or not folder.parents[1].name.startswith("models--"):
        return None
    return folder.parents[1].name.removeprefix("models--").replace("--", "/")
