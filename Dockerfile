# One image for every part of a network: `docker run IMAGE start --home ...` is a validator, and the settlement chain and
# the traders of a testnet run from it, too. `hansa testnet image` builds it and says how long that took.
#
#   docker build -t hansa:local .
#   make wheelhouse && docker build -t hansa:local --build-arg PIP_NO_INDEX=1 .    # without asking the package index
#
# Only what both builders of Docker accept: no mounts, no heredocs, no COPY --chmod. Dependencies come first, sources
# last, so that a change of ours installs nothing anew.

FROM python:3.11-slim-bookworm AS tools
LABEL org.hansa.stage=build
ARG UV_VERSION=0.13.8
# The brackets let the folder be missing, and a COPY needs something that is there.
COPY engine/__init__.py wheelhous[e] /wheels/
RUN python -m venv /uv && /uv/bin/pip install -q --disable-pip-version-check --find-links /wheels uv==$UV_VERSION

FROM tools AS lock
ARG PIP_NO_INDEX
WORKDIR /build
COPY pyproject.toml uv.lock /build/
# Wheels of a wheelhouse were made on this machine, so that their hashes are not those of the lock; versions are.
RUN /uv/bin/uv export -q --frozen --extra node --no-dev --no-emit-project ${PIP_NO_INDEX:+--no-hashes} -o /required.txt

# Not from pyproject.toml, so that nothing is installed anew unless a node needs it.
FROM tools AS build
COPY --from=lock /required.txt /required.txt
ARG PIP_NO_INDEX
ENV UV_NO_CACHE=1 UV_NO_PROGRESS=1
# The list is whole and its hashes are checked. Most of the size is LLVM and numpy; what can go is the tests of others.
RUN python -m venv --without-pip /opt/venv \
 && /uv/bin/uv pip install -q --no-deps --python /opt/venv/bin/python ${PIP_NO_INDEX:+--no-index} --find-links /wheels \
        -r /required.txt \
 && find /opt/venv -type d \( -path '*/numba/tests' -o -path '*/numpy/*/tests' -o -path '*/Crypto/SelfTest' \) \
        -prune -exec rm -r {} + \
 && { /opt/venv/bin/python -m compileall -q -j 0 /opt/venv/lib >/dev/null || true; }

FROM python:3.11-slim-bookworm
ENV PATH=/opt/venv/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 \
    HANSA_CACHE=/tmp/hansa HANSA_KERNELS=/opt/hansa/kernels \
    HANSA_HEALTH_URL=http://127.0.0.1:8645/health
RUN useradd --uid 10001 --create-home --shell /usr/sbin/nologin hansa && mkdir /opt/hansa /network \
 && chown hansa:hansa /network
COPY --from=build /opt/venv /opt/venv
WORKDIR /opt/hansa
RUN echo /opt/hansa > /opt/venv/lib/python3.11/site-packages/hansa.pth \
 && printf '#!/opt/venv/bin/python\nfrom validator.__main__ import main\nmain()\n' > /opt/venv/bin/hansa \
 && chmod 755 /opt/venv/bin/hansa
COPY engine /opt/hansa/engine
COPY consensus /opt/hansa/consensus
COPY contracts /opt/hansa/contracts
COPY net /opt/hansa/net
COPY validator /opt/hansa/validator
# The engine compiled for the processor of the machine that builds; another kind of processor compiles at its first start.
RUN python -m compileall -q -j 0 engine consensus contracts net validator \
 && HANSA_CACHE=/opt/hansa HANSA_KERNELS= \
    python -c 'from validator.compilecache import prepare_compile_cache as p; p(); \
        from validator.warming import warm_everything as w; w()' \
 && chmod -R a+rX /opt/hansa
COPY testnet /opt/hansa/testnet
RUN python -m compileall -q -j 0 testnet && chmod -R a+rX testnet
ARG SOURCES=unknown
LABEL org.hansa.sources=$SOURCES
USER 10001:10001
EXPOSE 26656 8645 26660
# Of a validator: 200 while it follows the head of the chain.
HEALTHCHECK --interval=10s --timeout=5s --start-period=120s --retries=3 \
    CMD ["python", "-I", "-S", "-c", "import os, urllib.request as u; u.urlopen(os.environ['HANSA_HEALTH_URL'], timeout=4)"]
ENTRYPOINT ["hansa"]
CMD ["--help"]
