"""Checks of what this process can reach by itself: blobs, allow-lists, secrets, schemas, backends. Knows no broker."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

from backends import registry
from backends.base import engine_of
from router.errors import BackendError, BackendUnavailableError, DocrouteError
from workers.blobs import make_blobs
from workers.checks import Check, fail, ok, warn
from workers.decisions import create_decisions
from workers.schemas import find_schema, schema_names
from workers.service_settings import BlobSettings, SourceSettings, WebhookSettings
from workers.settings import LaneSettings, Settings
from workers.signature import read_secrets


def check_blobs(settings: BlobSettings) -> Iterator[Check]:
    """Yield whether blobs can be written, read and removed, and whether there is space."""
    blobs = make_blobs(settings)
    try:
        blobs.check()
        yield ok("blobs", f"{blobs.place} can be written and read")
    except DocrouteError as exc:
        yield fail("blobs", str(exc), "check service.blobs.url, and who may write there")
    free_mb = blobs.free_mb()
    if free_mb is None:
        return
    detail = f"{free_mb:,} MB are free, {settings.min_free_mb:,} are kept for results"
    if free_mb < settings.min_free_mb:
        yield fail("disk", f"{detail}: nothing new is accepted", "free some space, or lower service.blobs.min_free_mb")
    elif free_mb < 2 * settings.min_free_mb:
        yield warn("disk", detail, "free some space")
    else:
        yield ok("disk", detail)


def check_sources(settings: SourceSettings) -> Iterator[Check]:
    """Yield whether the places that documents may be fetched from are there."""
    for root in settings.file_roots:
        if not Path(root).is_dir():
            yield warn("sources", f"{root} is no folder here", "mend service.sources.file_roots")
    if settings.s3_buckets and find_spec("s3fs") is None:
        yield fail("sources", "s3_buckets are set, but s3fs is not installed", "pip install 'docroute[s3]'")
    allowed = [*settings.file_roots, *(f"s3://{b}" for b in settings.s3_buckets), *settings.https_hosts]
    yield ok("sources", f"URIs may point to {', '.join(allowed)}" if allowed else "no URI is fetched")


def check_webhooks(settings: WebhookSettings) -> Iterator[Check]:
    """Yield whether webhooks can be signed, and who may be called."""
    if not settings.hosts:
        yield ok("webhooks", "off: service.webhooks.hosts names none")
        return
    try:
        secrets = read_secrets(settings.secret_file)
    except DocrouteError as exc:
        yield fail("webhooks", str(exc), "docroute signs with it; the receiver needs the same one")
        return
    yield ok("webhooks", f"{', '.join(settings.hosts)}, signed with {len(secrets)} secret(s)")
    file = Path(settings.secret_file or "")
    if file.stat().st_mode & (stat.S_IRWXO):
        yield warn("webhook secret", f"{file} can be read by everybody", f"chmod o-rwx {file}")
    if settings.allow_http:
        yield warn("webhooks", "http is allowed: results go over the network unencrypted", "unset webhooks.allow_http")


def check_schemas(folder: str | None) -> Iterator[Check]:
    """Yield every schema file that cannot be used."""
    if folder is None:
        yield ok("schemas", "built in")
        return
    if not Path(folder).is_dir():
        yield fail("schemas", f"{folder} is no folder here", "mend service.schemas")
        return
    names = schema_names(folder)
    for name in names:
        try:
            find_schema(name, folder)
        except DocrouteError as exc:
            yield fail("schemas", str(exc))
    yield ok("schemas", ", ".join(names))


def check_decisions(settings: Settings) -> Iterator[Check]:
    """Yield whether confidences mean what they say for the two lanes; raise `SettingsError` for a wrong file."""
    decisions, lanes = create_decisions(settings), settings.lanes
    pair = f"{lanes.fast} and {lanes.deep}"
    if not decisions.calibrated:
        told = f"not calibrated for {pair} (decisions {decisions.version}): a confidence is the model's own word"
        yield warn("confidence", told, "fit decisions on labelled documents and name them in policy.decisions")
    elif not decisions.is_for(lanes.fast, lanes.deep):
        told = f"decisions {decisions.version} were fitted on {' and '.join(decisions.lanes or ())}, not on {pair}"
        yield warn("confidence", told, "mend policy.decisions; until then results say that they are not calibrated")
    else:
        yield ok("confidence", f"calibrated for {pair} (decisions {decisions.version})")


def check_lanes(settings: LaneSettings) -> Iterator[Check]:
    """Yield whether both lanes can be made here, where workers would be started: packages, options, checkpoints."""
    for tier, name in (("fast", settings.fast), ("deep", settings.deep)):
        try:
            lane = registry.create(name, settings.options_of(name))
        except BackendUnavailableError as exc:
            detail, _, hint = str(exc).partition("; ")
            yield warn(f"{tier} lane", f"{name}: {detail}", hint or "docroute backends says how to install it")
        except BackendError as exc:
            yield fail(f"{tier} lane", str(exc), f"docroute backends lists them; mend lanes.options.{name}")
        else:
            engine = engine_of(lane)
            yield ok(f"{tier} lane", f"{name} is installed here{f': {engine.facts().name}' if engine else ''}")
