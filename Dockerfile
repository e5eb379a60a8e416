# The bridge as one container: any Debian with Python 3.11 and its venv module can be the base.
ARG BASE=python:3.11-slim-bookworm

FROM ${BASE} AS build
WORKDIR /src
RUN python3 -m venv /opt/venv
COPY requirements.lock .
# A pip.conf of yours, for a package index of your own, reaches pip and never the image:
#   docker build --secret id=pip.conf,src=$HOME/.config/pip/pip.conf .
RUN --mount=type=secret,id=pip.conf,target=/etc/pip.conf \
    /opt/venv/bin/pip install --no-cache-dir --only-binary :all: --require-hashes -r requirements.lock
COPY pyproject.toml README.md LICENSE ./
COPY bridge bridge
COPY mappings mappings
RUN --mount=type=secret,id=pip.conf,target=/etc/pip.conf \
    /opt/venv/bin/pip install --no-cache-dir --no-deps . \
    && /opt/venv/bin/pip uninstall --yes --quiet setuptools pip

FROM ${BASE}
COPY --from=build /opt/venv /opt/venv
ENV PATH=/opt/venv/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
# The root file system is read-only when it runs, so what Python compiles is compiled here, once:
# the bridge, and what it needs of a standard library that comes without its bytecode.
RUN useradd --uid 10001 --user-group --no-log-init --no-create-home --shell /usr/sbin/nologin bridge \
    && install --directory --owner=10001 --group=10001 --mode=0700 /data \
    && python3 -c "import bridge.app, http.client, sqlite3" \
    && segment-bridge --help > /dev/null
ENV PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    BRIDGE_HOST=0.0.0.0 \
    BRIDGE_DATABASE_URL=sqlite:////data/bridge.db \
    BRIDGE_EPHEMERAL=no
USER 10001:10001
VOLUME /data
EXPOSE 8080 8081
STOPSIGNAL SIGTERM
# Asks itself directly, whatever proxy the environment names. The first check
# comes after one interval; with a start period, Docker would put it off to the fifth second.
HEALTHCHECK --interval=3s --timeout=2s --retries=10 \
    CMD ["python3", "-c", "import http.client, os, sys; c = http.client.HTTPConnection('127.0.0.1', int(os.environ.get('BRIDGE_PORT', 8080)), timeout=1.5); c.request('GET', '/livez'); sys.exit(c.getresponse().status != 200)"]
ENTRYPOINT ["segment-bridge"]
CMD ["serve"]
