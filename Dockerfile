# The program flashcopy with all that it runs, for each of its roles:
#
#   docker build -t flashcopy-csi .
#
# The engine and the node role mount and attach devices: they run as root, privileged, with the host's /dev. The
# controller needs no rights at all: run it as user 65532. The root filesystem may be read-only. What is written goes to
# the pool, to /run/flashcopy and to the directory of the CSI socket. The health check asks the roles where they serve their
# metrics (--metrics-listen): 9751 for the engine, 9752 for the node role, 9753 for the controller.
#
# Two builds of one state of the sources from the same base images have the same layers: nothing in them bears the time of
# the build.
ARG NODE_IMAGE=node:24-bookworm-slim
ARG BASE_IMAGE=debian:bookworm-slim

# Node.js and the packages that the program needs, where they will lie. No package needs its install scripts: those with
# native code bring it along. Modes do not depend on a umask.
FROM ${NODE_IMAGE} AS dependencies
ARG NPM_REGISTRY=
ENV npm_config_registry=${NPM_REGISTRY}
ARG SOURCE_DATE_EPOCH=0
WORKDIR /out/opt/flashcopy
COPY package.json package-lock.json ./
RUN npm ci --omit=dev --ignore-scripts \
    && find . \( -name '*.map' -o -name '*.d.ts' -o -name '*.d.cts' -o -name '*.d.mts' \) -delete \
    && rm -rf node_modules/.bin node_modules/.package-lock.json package.json package-lock.json \
    && install -D "$(command -v node)" /out/usr/local/bin/node \
    && chmod -R u=rwX,go=rX /out && find /out -exec touch --no-dereference --date="@$SOURCE_DATE_EPOCH" {} +

# The program, compiled.
FROM ${NODE_IMAGE} AS build
ARG NPM_REGISTRY=
ENV npm_config_registry=${NPM_REGISTRY}
ARG SOURCE_DATE_EPOCH=0
WORKDIR /build
COPY package.json package-lock.json ./
RUN npm ci --ignore-scripts
COPY tsconfig.json tsconfig.build.json LICENSE ./
COPY src src
COPY bin bin
COPY proto proto
RUN npm run build -- --sourceMap false \
    && mkdir -p /out/opt/flashcopy /out/usr/local/bin \
    && cp -r LICENSE bin dist package.json proto /out/opt/flashcopy/ \
    && ln -s /opt/flashcopy/bin/flashcopy.js /out/usr/local/bin/flashcopy \
    && chmod -R u=rwX,go=rX /out && find /out -exec touch --no-dereference --date="@$SOURCE_DATE_EPOCH" {} +

FROM ${BASE_IMAGE} AS packages
ARG DEBIAN_MIRROR=
# Xfsprogs depends on Python for a script that is not used here: an empty package stands for it meanwhile.
RUN mkdir -p /began /work/lists/partial /work/archives/partial /work/python/DEBIAN \
    && printf '%s\n' 'Package: python3' 'Version: 0' 'Architecture: all' 'Multi-Arch: allowed' \
         'Maintainer: nobody <nobody@localhost>' 'Description: nothing' >/work/python/DEBIAN/control \
    && dpkg-deb --build /work/python && dpkg --install /work/python.deb \
    && if [ -n "$DEBIAN_MIRROR" ]; then \
         . /etc/os-release && echo "deb $DEBIAN_MIRROR $VERSION_CODENAME main" >/work/sources \
         && set -- -o Dir::Etc::SourceList=/work/sources -o Dir::Etc::SourceParts=-; \
       fi \
    && set -- "$@" -o Dir::State::Lists=/work/lists -o Dir::Cache=/work \
    && apt-get "$@" update \
    && DEBIAN_FRONTEND=noninteractive apt-get "$@" install -y --no-install-recommends \
         e2fsprogs mount util-linux xfsprogs \
    && dpkg --purge --force-depends python3 \
    && echo 'flashcopy:x:65532:65532::/nonexistent:/usr/sbin/nologin' >>/etc/passwd \
    && echo 'flashcopy:x:65532:' >>/etc/group
# What that has changed, without notes of when.
ARG SOURCE_DATE_EPOCH=0
RUN mkdir /out \
    && find / -xdev \( -path /began -o -path /work -o -path /out -o -path /proc -o -path /sys -o -path /dev -o -path /tmp \
         -o -path /var/cache -o -path /var/log -o -path /etc/hosts -o -path /etc/resolv.conf -o -name '*-old' \) -prune \
         -o -cnewer /began -print0 \
       | tar --create --null --no-recursion --files-from=- --absolute-names | tar --extract --directory=/out \
    && find /out -newer /began -exec touch --no-dereference --date="@$SOURCE_DATE_EPOCH" {} +

# Only copies: what a step runs in a container leaves marks of its time.
FROM ${BASE_IMAGE}
COPY --from=packages /out/ /
COPY --from=dependencies /out/ /
COPY --from=build /out/ /

ARG VERSION=
ARG REVISION=
LABEL org.opencontainers.image.title="flashcopy-csi" \
      org.opencontainers.image.description="Node-local Kubernetes volumes with instant, incremental copies" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
ENV NODE_ENV=production
HEALTHCHECK --interval=30s --timeout=10s --start-period=30s CMD ["flashcopy", "health"]
ENTRYPOINT ["flashcopy"]
CMD ["--help"]
