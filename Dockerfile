# syntax=docker/dockerfile:1
# The image: one program on distroless Debian, as user 65532.
#
#   docker build -t registry.example.org/backstay:0.1.0 .
#   docker buildx build --platform linux/amd64,linux/arm64 -t registry.example.org/backstay:0.1.0 --push .
#
# Each platform is built on itself, by a native builder or under emulation. `--sbom=true --provenance=mode=max` of buildx adds
# both; nothing here has to know.

FROM rust:1.95-bookworm AS build
ARG TARGETPLATFORM
WORKDIR /backstay
RUN apt-get update \
    && apt-get install -y --no-install-recommends cmake libssl-dev pkg-config \
    && rm -rf /var/lib/apt/lists/*
COPY . .
# The base image brings the C library, OpenSSL and certificate authorities; zlib becomes part of the program.
ENV LIBZ_SYS_STATIC=1
RUN --mount=type=cache,id=cargo-${TARGETPLATFORM},target=/usr/local/cargo/registry \
    --mount=type=cache,id=target-${TARGETPLATFORM},target=/backstay/target \
    cargo build --locked --release --bin backstay \
    && install -D target/release/backstay /out/backstay

FROM gcr.io/distroless/cc-debian12:nonroot
ARG VERSION=0.1.0
ARG REVISION
LABEL org.opencontainers.image.title="backstay" \
      org.opencontainers.image.description="Keeps a Kubernetes cluster restorable from Git" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
COPY --from=build /out/backstay /usr/bin/backstay
USER 65532:65532
# Every folder that it writes to lies below /tmp.
ENV TMPDIR=/tmp XDG_CACHE_HOME=/tmp/cache XDG_STATE_HOME=/tmp/state
ENTRYPOINT ["/usr/bin/backstay"]
