"""Settings of the service: broker, store, blobs, sources, limits. Plain data; `workers.settings` reads them."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from router.types import Frozen, Unit

Seconds = Annotated[float, Field(gt=0)]


class BrokerSettings(Frozen):
    """The Redis or Valkey that holds queues and jobs. `visibility_timeout_s` must be the same in every process."""

    url: str = "redis://127.0.0.1:6390/0"
    """`rediss://` is TLS: the server's certificate and host name are verified."""
    username: str | None = None
    """A user of the server's access list; None is the one of the URL, or the default user."""
    password_file: str | None = None
    """File with the password, so that it stands in no setting, process list or log."""
    ca_file: str | None = None
    """PEM file with a certificate authority of your own, which is believed beside those of the system."""
    certificate_file: str | None = None
    """PEM file with a client certificate, for a server that asks for one."""
    key_file: str | None = None
    """PEM file with its private key, without a passphrase; None: it is in `certificate_file`."""
    key_prefix: Annotated[str, Field(pattern=r"^[a-z0-9_-]*:?$")] = "docroute:"
    visibility_timeout_s: Seconds = 900.0
    """After this long a message whose worker never answered is given to another; above the longest step."""
    sentinel_username: str | None = None
    """A user that the sentinels themselves ask for, where `url` is `sentinel://...`."""
    sentinel_password_file: str | None = None
    """File with the password that the sentinels themselves ask for."""
    replicas: Annotated[int, Field(ge=0, le=10)] = 0
    """So many replicas must have a submission before it is acknowledged."""
    replicas_within_s: Annotated[float, Field(gt=0, le=8)] = 5.0
    """For the replicas to have it; beyond, the submission is refused and must be repeated."""


class BlobSettings(Frozen):
    """Where originals and results lie, as an fsspec URL: a folder, s3://bucket/prefix, ..."""

    url: str = ".docroute/blobs"
    min_free_mb: Annotated[int, Field(ge=0)] = 200
    """Nothing new is accepted while a local blob folder has less free space."""


class SourceSettings(Frozen):
    """Which URIs a document may be fetched from; nothing is by default."""

    file_roots: tuple[str, ...] = ()
    s3_buckets: tuple[str, ...] = ()
    https_hosts: tuple[str, ...] = ()
    timeout_s: Seconds = 30.0


class WebhookSettings(Frozen):
    """Notifications of finished jobs, signed with the secret of a file."""

    hosts: tuple[str, ...] = ()
    """Hosts (`name` or `name:port`) that may be called; none by default."""
    secret_file: str | None = None
    allow_http: bool = False
    allow_private: bool = False
    timeout_s: Seconds = 10.0
    keep_trying_s: Seconds = 3 * 86400.0
    """From the first try on; then a notification is given up, and before its job's retention ends in any case."""
    attempts: Annotated[int, Field(ge=1)] | None = None
    """At most so many tries; as many as there is time for where it is not set."""
    wait_s: Seconds = 5.0
    """Before the second try; doubled for each further one, at most an hour, and up to a quarter more by chance."""
    at_once: Annotated[int, Field(ge=1, le=256)] = 16
    """Notifications that are sent at a time, by one worker of all."""
    per_receiver: Annotated[int, Field(ge=1, le=256)] = 4
    """Of these to one host and port."""


class LoadSettings(Frozen):
    """How much may wait, and what happens beyond."""

    intake_limit: Annotated[int, Field(ge=1)] = 200_000
    """Jobs waiting for intake; beyond it a submission is answered with "busy"."""
    deep_limit: Annotated[int, Field(ge=1)] = 1_000
    """Jobs waiting for the deep lane beyond which only required fields escalate; beyond twice as many, none do."""
    audit_share: Unit = 0.01
    """Share of documents that both lanes read in full, for calibration."""


class StepSettings(Frozen):
    """Attempts and leases of steps."""

    max_attempts: Annotated[int, Field(ge=1)] = 3
    lease_s: Seconds = 60.0
    """A step that does not renew its lease for this long is given to another worker."""
    retry_wait_s: Seconds = 2.0
    """Before the second attempt; doubled for each further one, at most five minutes."""
    publish_grace_s: Seconds = 10.0
    """After this long a message not noted as published is published again."""
    sweep_every_s: Seconds = 2.0


class RetentionSettings(Frozen):
    """How long things are kept after a job has ended."""

    finished_s: Seconds = 7 * 86400.0
    dead_s: Seconds = 30 * 86400.0
    trash_s: Seconds = 3 * 86400.0
    """How long documents and results lie in the trash, where reading one brings it back, before they are removed."""


class MonitoringSettings(Frozen):
    """Ports on loopback for `/metrics`, `/live` and `/ready`; None: off. And when a worker is taken to stand still."""

    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535)] | None = None
    stall_s: Seconds = 60.0
    """A worker that has room and takes no message for this long, while some wait for it, is not ready."""
    stall_exit_s: Seconds = 180.0
    """After this long it ends, to be started again."""


class FlowerSettings(Frozen):
    """The live view of workers and tasks. Beyond this machine it listens only with an `auth_file`."""

    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535)] = 5555
    auth_file: str | None = None
    """File with one `user:password` a line; without one, a password is made and kept in `.docroute/flower_auth`."""
    max_tasks: Annotated[int, Field(ge=1)] = 10_000
    """Tasks it remembers; the job store remembers all."""


class ServiceSettings(Frozen):
    """All of the service."""

    broker: BrokerSettings = BrokerSettings()
    blobs: BlobSettings = BlobSettings()
    sources: SourceSettings = SourceSettings()
    webhooks: WebhookSettings = WebhookSettings()
    load: LoadSettings = LoadSettings()
    steps: StepSettings = StepSettings()
    retention: RetentionSettings = RetentionSettings()
    monitoring: MonitoringSettings = MonitoringSettings()
    flower: FlowerSettings = FlowerSettings()
    schemas: str | None = None
    """Folder with schema files that jobs may name beside the built-in ones."""
