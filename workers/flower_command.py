"""`docroute flower`: the live view of workers and tasks, for looking only. The job store is the truth, this a window.

Flower is started from its parts and not by its command line, so that no password stands in a list of processes and no
`FLOWER_*` variable of the environment opens what is closed here.
"""

from __future__ import annotations

import logging
import signal
from pathlib import Path
from typing import Annotated, Any

import typer

from router.errors import SettingsError
from workers.broker import check_access
from workers.flower_auth import cookie_secret, credentials_file, read_credentials
from workers.logs import start_logging
from workers.redact import redact_text
from workers.settings import Settings, load_settings

COLUMNS = "name,args,state,routing_key,received,started,runtime,worker,retries,uuid"
SILENT_WORKER_S = 600
TEXTS = ("args", "kwargs", "result", "exception", "traceback")
FOLDER = Path(".docroute")
_LOG = logging.getLogger(__name__)


def flower(
    port: Annotated[
        int | None, typer.Option(min=0, max=65535, help="Port; service.flower.port (5555) when not given.")
    ] = None,
    folder: Annotated[Path, typer.Option(help="Where a password that was made is kept.")] = FOLDER,
) -> None:
    """Show workers and tasks in the browser, read only and behind a password, until it is stopped.

    Users are the lines user:password of the file service.flower.auth_file. Without one a password is made, for this
    machine only; beyond it Flower does not listen without that file.
    """
    start_logging()
    settings = load_settings()
    if port is not None:
        service = settings.service
        changed = service.flower.model_copy(update={"port": port})
        settings = settings.model_copy(update={"service": service.model_copy(update={"flower": changed})})
    path = credentials_file(settings.service.flower, folder)
    serve(settings, read_credentials(path), path)


def serve(settings: Settings, credentials: list[str], path: Path) -> None:
    """Run Flower until SIGTERM or Ctrl-C; raise `SettingsError` where the port is taken."""
    check_access(settings.service.broker)
    view = make_flower(settings, credentials)
    wanted = settings.service.flower
    try:
        port = view.start_http_server()
    except OSError as exc:
        raise SettingsError(
            f"Flower cannot listen on {wanted.host} port {wanted.port}: {exc.strerror or exc}; "
            "set service.flower.port to another one"
        ) from exc
    _LOG.info("Flower on http://%s:%d, users and passwords in %s", wanted.host, port, path)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: view.io_loop.add_callback_from_signal(view.stop))
    view.start()


def make_flower(settings: Settings, credentials: list[str]) -> Any:
    """Return Flower's application over this service's tasks, read only."""
    from flower.app import Flower
    from flower.options import options
    from flower.urls import settings as web_settings

    from workers.app import make_app

    wanted = settings.service.flower
    own: dict[str, Any] = {
        "address": wanted.host,
        "port": wanted.port,
        "basic_auth": credentials,
        "read_only": True,
        "max_tasks": wanted.max_tasks,
        "purge_offline_workers": SILENT_WORKER_S,
        "tasks_columns": COLUMNS,
        "persistent": False,
        "debug": False,
    }
    for name, value in own.items():
        setattr(options, name, value)
    web = web_settings | {"cookie_secret": cookie_secret(credentials)}
    view = Flower(capp=make_app(settings), options=options, **web)
    _hide_secrets(view.events.state)
    return view


def _hide_secrets(state: Any) -> None:
    """Take secrets out of what tasks say before it is kept: other clients show their arguments as they are."""
    keep = state.event

    def keep_redacted(event: dict[str, Any]) -> None:
        texts = {key: redact_text(event[key]) for key in TEXTS if isinstance(event.get(key), str)}
        keep({**event, **texts})

    state.event = keep_redacted
