"""Settings, from `docroute.toml` and the environment. The only place in the project that reads either.

Strongest first: `DOCROUTE_*` variables, the file named by `DOCROUTE_CONFIG` (else `docroute.toml` in the working folder
if there is one), defaults. A nested key takes two underscores: `DOCROUTE_LANES__DEEP=fake` is `[lanes] deep = "fake"`.
Values of variables are read as TOML (`4`, `true`, `{a = 1}`), and as plain text when they are none. A misspelt key is
an error.
"""

from __future__ import annotations

import difflib
import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, Field, JsonValue, ValidationError

from router.documents import Limits, TextLayer
from router.errors import SettingsError
from router.types import Frozen, Tier, Unit
from workers.service_settings import ServiceSettings

PREFIX = "DOCROUTE_"
CONFIG_VARIABLE = "DOCROUTE_CONFIG"
DEFAULT_FILE = "docroute.toml"


class LaneSettings(Frozen):
    """Which backends read, and options for their factories: `[lanes.options.fake] script = "script.json"`."""

    fast: str = "ocr-fast"
    deep: str = "ocr-deep"
    options: dict[str, dict[str, JsonValue]] = Field(default_factory=dict)

    def options_of(self, backend: str) -> dict[str, JsonValue]:
        """Return a backend's options; a variable, whose name can have no hyphen, may say `llama_vision`."""
        return self.options.get(backend, {}) | self.options.get(backend.replace("-", "_"), {})

    def of(self, tier: Tier) -> str:
        """Return the name of a tier's backend."""
        return self.fast if tier == "fast" else self.deep


class PolicySettings(Frozen):
    """What is sure enough and how much is sent to the deep lane; None keeps what ships for the two lanes."""

    decisions: str | None = None
    """Decisions of your own, in JSON, whatever the lanes: fusion weights, constants of the merge and a policy."""
    file: str | None = None
    """A policy of your own, in JSON, instead of the one among the decisions."""
    budget: Unit | None = None
    """Share of fields that review may escalate."""


class ReportSettings(Frozen):
    """Bounds of the HTML report."""

    pages: Annotated[int, Field(ge=0)] = 4
    """Pages pictured of each document."""
    documents: Annotated[int, Field(ge=0)] = 200
    """Documents that get pictures at all; later ones have their fields only."""
    width_px: Annotated[int, Field(ge=200, le=4000)] = 900


class Settings(Frozen):
    """Everything that can be set; each default is safe for documents from strangers."""

    processes: Annotated[int, Field(ge=1, le=1024)] | None = None
    """Worker processes; None is one for each CPU this process may use."""
    document_timeout_s: Annotated[float, Field(gt=0)] = 600.0
    """A document that takes longer fails, and its worker process is replaced."""
    text_layer: TextLayer = "auto"
    """How far words of a PDF's text layer are believed: as the page shows them (auto), always, or never."""
    limits: Limits = Field(default_factory=Limits)
    lanes: LaneSettings = LaneSettings()
    policy: PolicySettings = PolicySettings()
    report: ReportSettings = ReportSettings()
    service: ServiceSettings = ServiceSettings()

    def process_count(self) -> int:
        """Return how many worker processes to run."""
        if self.processes is not None:
            return self.processes
        return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def load_settings(environment: Mapping[str, str] | None = None, folder: Path | None = None) -> Settings:
    """Return the settings of an environment (this process's when None); raise `SettingsError` naming key and cause."""
    environment = os.environ if environment is None else environment
    values, origin = _from_file(environment, folder or Path())
    for variable, text in sorted(environment.items()):
        if variable.startswith(PREFIX) and variable != CONFIG_VARIABLE:
            path = variable.removeprefix(PREFIX).lower().split("__")
            _put(values, path, _value(text), variable)
            origin[path[0]] = variable
    try:
        return Settings.model_validate(values)
    except ValidationError as exc:
        raise SettingsError(_explain(exc, origin)) from exc


def child_environment(changes: Mapping[str, str]) -> dict[str, str]:
    """Return this process's environment with changes, for a process that it starts."""
    return {**os.environ, **changes}


def _from_file(environment: Mapping[str, str], folder: Path) -> tuple[dict[str, Any], dict[str, str]]:
    named = environment.get(CONFIG_VARIABLE)
    path = Path(named) if named else folder / DEFAULT_FILE
    if not named and not path.is_file():
        return {}, {}
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as exc:
        raise SettingsError(f"cannot read the settings file {path}: {exc.strerror}") from exc
    except ValueError as exc:
        raise SettingsError(f"{path} is not valid TOML: {exc}") from exc
    return values, dict.fromkeys(values, str(path))


def _value(text: str) -> object:
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def _put(values: dict[str, Any], path: list[str], value: object, variable: str) -> None:
    for key in path[:-1]:
        values = values.setdefault(key, {})
        if not isinstance(values, dict):
            raise SettingsError(f"{variable}: {key} is a single value and has no part {path[-1]!r}")
    values[path[-1]] = value


def _explain(exc: ValidationError, origin: Mapping[str, str]) -> str:
    error = exc.errors()[0]
    location = [str(part) for part in error["loc"]]
    where = origin.get(location[0], "settings") if location else "settings"
    key = ".".join(location)
    if error["type"] not in {"extra_forbidden", "unexpected_keyword_argument"}:
        return f"{where}: {key}: {error['msg']} (it is {error['input']!r})"
    known = _known_keys(location[:-1])
    close = difflib.get_close_matches(location[-1], known, n=1)
    meant = f"did you mean {close[0]!r}?" if close else f"known are {', '.join(known)}"
    return f"{where}: unknown setting {key!r}; {meant}"


def _known_keys(location: list[str]) -> list[str]:
    model: type[BaseModel] = Settings
    for part in location:
        default = model.model_fields[part].get_default(call_default_factory=True)
        model = type(default)
    fields: Mapping[str, object] = getattr(model, "model_fields", None) or getattr(model, "__dataclass_fields__", {})
    return sorted(fields)
