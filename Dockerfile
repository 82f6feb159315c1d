# Two stages: the first builds a virtual environment, the second holds it and nothing that builds.
FROM python:3.11-slim AS build

ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
RUN python -m venv /opt/loyalty-bridge
WORKDIR /src
# What it stands on changes seldom, so it comes first: every version pinned, every file by its hash.
COPY config/constraints.txt config/
RUN /opt/loyalty-bridge/bin/pip install --require-hashes -r config/constraints.txt
COPY pyproject.toml README.md LICENSE ./
COPY bridge bridge
COPY providers providers
RUN /opt/loyalty-bridge/bin/pip install --no-deps . \
    && /opt/loyalty-bridge/bin/pip check \
    && /opt/loyalty-bridge/bin/python -m compileall -q /opt/loyalty-bridge/lib

FROM python:3.11-slim

RUN useradd --system --uid 10001 --home-dir /var/lib/loyalty-bridge --create-home --shell /usr/sbin/nologin bridge
COPY --from=build /opt/loyalty-bridge /opt/loyalty-bridge
ENV PATH=/opt/loyalty-bridge/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    BRIDGE_CONFIG=/etc/loyalty-bridge/bridge.toml \
    BRIDGE_DATABASE_URL=sqlite:////var/lib/loyalty-bridge/bridge.db
USER bridge
WORKDIR /var/lib/loyalty-bridge
VOLUME /var/lib/loyalty-bridge
EXPOSE 8000
STOPSIGNAL SIGTERM
# /healthz says that the process runs and nothing else: nobody restarts it because a loyalty API is down.
HEALTHCHECK --interval=30s --timeout=5s --start-period=10s --retries=3 \
    CMD ["python", "-c", "import http.client as h; c = h.HTTPConnection('127.0.0.1', 8000, timeout=4); c.request('GET', '/healthz'); raise SystemExit(c.getresponse().status != 200)"]
ENTRYPOINT ["loyalty-bridge"]
CMD ["serve", "--host", "0.0.0.0"]
