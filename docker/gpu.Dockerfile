# Lanes of vision-language models, on a CUDA device. Build from the project's folder: docker build -f docker/gpu.Dockerfile .
# The base image tells the container runtime what to mount of the driver; PyTorch's wheels bring CUDA's libraries.
FROM nvidia/cuda:13.0.2-base-ubuntu24.04 AS python
# Triton compiles the engine's kernels when a worker starts, and their launchers with a C compiler and Python's headers.
# no exact versions: the archive keeps only the newest build of a package, so that a pinned one soon cannot be had
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install -y --no-install-recommends gcc libc6-dev python3 python3-dev python3-venv \
    && rm -rf /var/lib/apt/lists/*

FROM python AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
RUN python3 -m venv /opt/docroute
WORKDIR /src
COPY requirements requirements
# The very versions that were tested. Of the second recogniser's wheel only the model files are used: its own
# dependencies would bring a second OpenCV.
RUN /opt/docroute/bin/python -m pip install --require-hashes --only-binary :all: \
        -r requirements/build.lock -r requirements/gpu-image.lock \
    && /opt/docroute/bin/python -m pip install --require-hashes --no-deps --ignore-requires-python \
        -r requirements/second-recogniser.txt
COPY pyproject.toml README.md LICENSE ./
COPY router router
COPY backends backends
COPY workers workers
RUN /opt/docroute/bin/python -m pip install --no-deps --no-build-isolation .

FROM python
RUN groupadd --gid 10001 docroute \
    && useradd --uid 10001 --gid docroute --no-create-home --home-dir /tmp --shell /usr/sbin/nologin docroute \
    && install -d -o docroute -g docroute /var/lib/docroute /var/lib/docroute/blobs /var/lib/docroute/models
COPY --from=build /opt/docroute /opt/docroute
# what Triton compiles must lie where code may be run, which /tmp is not in compose.yaml
ENV PATH=/opt/docroute/bin:$PATH PYTHONUNBUFFERED=1 XDG_CACHE_HOME=/tmp HF_HOME=/var/lib/docroute/models \
    TRITON_CACHE_DIR=/var/lib/docroute/models/triton
WORKDIR /var/lib/docroute
USER 10001:10001
STOPSIGNAL SIGTERM
CMD ["docroute", "--help"]
