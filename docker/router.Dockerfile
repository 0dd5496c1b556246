# Intake and the OCR lanes, on a CPU. Build from the project's folder: docker build -f docker/router.Dockerfile .
# No system package is needed: the wheels of OpenCV, ONNX Runtime and PDFium bring their libraries with them.
FROM python:3.12.12-slim-bookworm AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
RUN python -m venv /opt/docroute
WORKDIR /src
COPY requirements requirements
# The very versions that were tested. Of the second recogniser's wheel only the model files are used: its own
# dependencies would bring a second OpenCV.
RUN /opt/docroute/bin/python -m pip install --require-hashes --only-binary :all: \
        -r requirements/build.lock -r requirements/image.lock \
    && /opt/docroute/bin/python -m pip install --require-hashes --no-deps --ignore-requires-python \
        -r requirements/second-recogniser.txt
COPY pyproject.toml README.md LICENSE ./
COPY router router
COPY backends backends
COPY workers workers
RUN /opt/docroute/bin/python -m pip install --no-deps --no-build-isolation .

FROM python:3.12.12-slim-bookworm
RUN groupadd --gid 10001 docroute \
    && useradd --uid 10001 --gid docroute --no-create-home --home-dir /tmp --shell /usr/sbin/nologin docroute \
    && install -d -o docroute -g docroute /var/lib/docroute /var/lib/docroute/blobs
COPY --from=build /opt/docroute /opt/docroute
ENV PATH=/opt/docroute/bin:$PATH PYTHONUNBUFFERED=1 XDG_CACHE_HOME=/tmp
WORKDIR /var/lib/docroute
USER 10001:10001
STOPSIGNAL SIGTERM
CMD ["docroute", "--help"]
