# syntax=docker/dockerfile:1
# nodekeep in a container:
#   docker build -t nodekeep .
#   docker run --rm -v nodekeep-home:/var/lib/nodekeep -v /srv:/srv:ro -v /mnt/backup:/repository nodekeep backup /srv

FROM rust:1.95-bookworm AS build
WORKDIR /source
COPY . .
# With --target the flags reach the program and not the build scripts and macros, which cannot be static.
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/source/target \
    target=$(rustc -vV | sed -n 's/^host: //p') \
    && RUSTFLAGS="-C target-feature=+crt-static" \
       cargo build --release --locked --package nodekeep --target "$target" \
    && install -D "target/$target/release/nodekeep" /out/nodekeep

# Not `scratch`, though the program is static: hooks want a shell, and `mount` wants fusermount3.
FROM debian:bookworm-slim
RUN apt-get update \
    && apt-get install -y --no-install-recommends fuse3 \
    && rm -rf /var/lib/apt/lists/*
COPY --from=build /out/nodekeep /usr/local/bin/nodekeep
# Keys, caches and configuration: lose this volume and only the recovery words can read the repository.
ENV NODEKEEP_HOME=/var/lib/nodekeep
ENV NODEKEEP_REPO=/repository
VOLUME ["/var/lib/nodekeep"]
ENTRYPOINT ["nodekeep"]
CMD ["--help"]
