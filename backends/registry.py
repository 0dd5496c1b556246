"""Names to lanes, through the entry-point group `docroute.backends`. Knows no backend and imports one only when asked.

A package adds a backend with an entry point to a factory. The factory checks that what it needs is there and raises
`BackendUnavailableError` otherwise; models load with the first document, so that listing backends stays cheap.
"""

from __future__ import annotations

import difflib
import inspect
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points, requires
from types import MappingProxyType
from typing import Literal

from backends.base import Lane, engine_of
from router.errors import BackendError, BackendUnavailableError

GROUP = "docroute.backends"

BackendState = Literal["ready", "not installed", "not usable"]


@dataclass(frozen=True)
class BackendInfo:
    """A registered backend.

    `state`: ready, not installed (a package or a checkpoint is missing) or not usable (what is there, or how it is set,
    cannot be read with). `detail` says what it is or what is wrong, `hint` what helps.
    """

    name: str
    state: BackendState
    detail: str
    hint: str = ""

    @property
    def ready(self) -> bool:
        """Whether a lane can be made of it."""
        return self.state == "ready"


def names() -> tuple[str, ...]:
    """Return the names of all registered backends, sorted."""
    return tuple(sorted(_registered()))


def create(name: str, options: Mapping[str, object] | None = None) -> Lane:
    """Return the lane of that name, its factory called with `options`.

    Raises `BackendUnavailableError` with the install command when a package is missing, `BackendError` for an unknown
    name (listing the known ones), an unknown option or a factory that fails.
    """
    registered = _registered()
    if name not in registered:
        close = difflib.get_close_matches(name, registered, n=1)
        meant = f" (did you mean {close[0]!r}?)" if close else ""
        raise BackendError(f"unknown backend {name!r}{meant}; known are {', '.join(sorted(registered))}")
    entry = registered[name]
    try:
        factory = entry.load()
        _check_options(name, factory, options or {})
        lane = factory(**(options or {}))
    except BackendError:
        raise
    except ImportError as exc:
        hint = _install_hint(entry, exc)
        raise BackendUnavailableError(f"backend {name!r} is not installed ({exc}); {hint}") from exc
    except Exception as exc:
        raise BackendError(f"backend {name!r} cannot start: {type(exc).__name__}: {exc}") from exc
    if not isinstance(lane, Lane):
        raise BackendError(f"backend {name!r} is no lane: {entry.value} must return name, relative_cost and extract()")
    return lane


def declared_cost(name: str) -> float | None:
    """Return the relative cost of a backend as its factory declares it, None where it does not.

    Nothing is made, so that it is known where the backend's model, device or packages are not.
    """
    entry = _registered().get(name)
    try:
        factory = entry.load() if entry is not None else None
        default = inspect.signature(factory).parameters["relative_cost"].default if callable(factory) else None
    except (ImportError, KeyError, ValueError):
        return None
    return float(default) if isinstance(default, int | float) else None


def available(
    options_of: Callable[[str], Mapping[str, object]] = lambda name: MappingProxyType({}),
) -> list[BackendInfo]:
    """Return every registered backend, and whether it can be created here with the options of its name."""
    return [_info(name, options_of(name)) for name in names()]


def _info(name: str, options: Mapping[str, object]) -> BackendInfo:
    try:
        lane = create(name, options)
    except BackendError as exc:
        detail, _, hint = str(exc).partition("; ")
        missing = isinstance(exc, BackendUnavailableError)
        return BackendInfo(name, "not installed" if missing else "not usable", detail, hint)
    engine = engine_of(lane)
    model = f", {engine.facts().name}" if engine is not None else ""
    return BackendInfo(name, "ready", f"relative cost {lane.relative_cost:g}{model}")


def _registered() -> dict[str, EntryPoint]:
    return {entry.name: entry for entry in entry_points(group=GROUP)}


def _check_options(name: str, factory: object, options: Mapping[str, object]) -> None:
    if not callable(factory):
        raise BackendError(f"backend {name!r} has no factory")
    known = inspect.signature(factory).parameters
    for option in options:
        if option not in known:
            raise BackendError(f"backend {name!r} has no option {option!r}; it has: {', '.join(known) or 'none'}")


def _install_hint(entry: EntryPoint, exc: ImportError) -> str:
    """Name the extra of the backend's own distribution that brings the missing module, else the module itself."""
    module = (exc.name or "").partition(".")[0]
    distribution = entry.dist.name if entry.dist else ""
    for requirement in (requires(distribution) if distribution else None) or ():
        package = re.match(r"[\w.-]+", requirement)
        extra = re.search(r"extra == [\"']([\w-]+)[\"']", requirement)
        if package and extra and package[0].replace("-", "_").lower() == module.lower():
            return f"install it with: pip install '{distribution}[{extra[1]}]'"
    if not module or module == entry.module.partition(".")[0]:
        return "its own code is missing: install it again"
    return f"install it with: pip install {module}"
