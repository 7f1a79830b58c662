# syntax=docker/dockerfile:1
#
#   docker build -t waxwing .
#   docker run -p 80:80 -p 587:587 -v ./mail.hcl:/etc/waxwing/mail.hcl -v waxwing:/data waxwing
#
# The image is the static binary, the CA certificates and two directories:
# /etc/waxwing for the configuration, /data for everything to keep.

ARG GO_IMAGE=golang:1.26

FROM --platform=$BUILDPLATFORM ${GO_IMAGE} AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
ARG TARGETOS TARGETARCH
ARG VERSION=dev
RUN CGO_ENABLED=0 GOOS=${TARGETOS} GOARCH=${TARGETARCH} \
    go build -trimpath -tags timetzdata -ldflags "-s -w -X github.com/waxwing-mail/waxwing/cmd.version=${VERSION}" \
    -o /out/usr/bin/waxwing ./cmd/waxwing
RUN mkdir -p /out/etc/waxwing /out/etc/ssl/certs /own/data && chmod 700 /own/data \
 && cp /etc/ssl/certs/ca-certificates.crt /out/etc/ssl/certs/ \
 && echo 'waxwing:x:10001:10001:waxwing:/data:/sbin/nologin' > /out/etc/passwd \
 && echo 'waxwing:x:10001:' > /out/etc/group

FROM scratch
ARG VERSION=dev
ARG REVISION=unknown
LABEL org.opencontainers.image.title="Waxwing" \
      org.opencontainers.image.description="A mail appliance: submission, DKIM, a durable queue and delivery in one static binary" \
      org.opencontainers.image.source="https://github.com/waxwing-mail/waxwing" \
      org.opencontainers.image.documentation="https://github.com/waxwing-mail/waxwing#readme" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
COPY --from=build /out/ /
# An entry that is copied gets the owner, a directory that is there already
# would not; a new volume takes owner and mode over.
COPY --from=build --chown=10001:10001 /own/ /
# The numeric form lets Kubernetes see that this is not root (runAsNonRoot).
USER 10001:10001
ENV WAXWING_CONFIG=/etc/waxwing/mail.hcl \
    WAXWING_DATA_DIR=/data
VOLUME /data
EXPOSE 25 80 443 465 587
STOPSIGNAL SIGTERM
# A small machine may need a while for its first RSA key.
HEALTHCHECK --interval=30s --timeout=5s --start-period=60s --retries=3 CMD ["/usr/bin/waxwing", "health"]
ENTRYPOINT ["/usr/bin/waxwing"]
CMD ["run"]
