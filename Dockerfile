# docker build -t answerfeed .
# docker run --stop-timeout 30 -p 8080:8080 -v answerfeed:/data answerfeed

FROM golang:1.26 AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
RUN CGO_ENABLED=0 go build -trimpath -ldflags="-s -w" -o /out/worker ./cmd/worker && mkdir /out/data

# Nothing but the binary, the certificates of public authorities, and a folder for the embedded database.
FROM scratch
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/
COPY --from=build /out/worker /usr/bin/worker
COPY --from=build --chown=65532:65532 /out/data /data
USER 65532:65532
# A volume takes this owner over; a folder of the host must belong to 65532 already.
VOLUME /data
WORKDIR /data
ENV WORKER_WEB_LISTEN=0.0.0.0:8080
EXPOSE 8080
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s --retries=3 CMD ["/usr/bin/worker", "health"]
ENTRYPOINT ["/usr/bin/worker"]
CMD ["run"]
