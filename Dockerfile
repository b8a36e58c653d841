# SPDX-License-Identifier: Apache-2.0
# The image: ssmd with its embedded model on Debian 12 slim, in two stages.
#
#     docker build -t ssmd . && docker run --rm -p 8080:8080 ssmd
#
# The daemon is the container's first process and handles SIGTERM itself: no init, no shell
# between. OpenBLAS, which only --math blas would use, is left out. It listens on 0.0.0.0 (configs/container.json) and runs as user 10001.

ARG BASE=debian:bookworm-slim

FROM ${BASE} AS build
WORKDIR /src
COPY packages.mk ./
RUN apt-get update \
 && apt-get install -y --no-install-recommends $(sed -n 's/^PACKAGES_BUILD *:= *//p' packages.mk) \
 && rm -rf /var/lib/apt/lists/*
COPY . .
RUN make -j"$(nproc)" BLAS=0 all \
 && make BLAS=0 DESTDIR=/out install

FROM ${BASE}
COPY packages.mk /tmp/packages.mk
RUN apt-get update \
 && apt-get install -y --no-install-recommends $(sed -n 's/^PACKAGES_RUN *:= *//p' /tmp/packages.mk) \
 && rm -rf /var/lib/apt/lists/* /var/cache/* /var/log/* /tmp/packages.mk \
 && groupadd --gid 10001 ssmd \
 && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin ssmd
COPY --from=build /out/ /
COPY configs/container.json /etc/ssmd/ssmd.json

USER 10001:10001
EXPOSE 8080

# /readyz: the model is loaded, the engine steps, no drain has begun. A full queue is ready.
HEALTHCHECK --interval=10s --timeout=3s --start-period=120s --retries=3 \
    CMD ["/usr/local/bin/ssmd", "health", "--config", "/etc/ssmd/ssmd.json"]

STOPSIGNAL SIGTERM
ENTRYPOINT ["/usr/local/bin/ssmd"]
CMD ["serve", "--config", "/etc/ssmd/ssmd.json"]
